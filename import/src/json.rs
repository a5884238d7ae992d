//! JSON files that people may have edited: bounded in size, and no key twice in an object.

use std::{fmt, path::Path};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::{ImportError, bounded};

/// Largest configuration that is read, in bytes.
pub(crate) const MAX_CONFIG: u64 = 1 << 20;

/// Reads a JSON file of at most `limit` bytes.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Value, ImportError> {
    let too_large = || ImportError::config(path, format!("larger than {limit} bytes"));
    let text = bounded::read(path, limit)?.ok_or_else(too_large)?;
    let Unique(value) =
        serde_json::from_slice(&text).map_err(|e| ImportError::config(path, e.to_string()))?;
    Ok(value)
}

/// Reads a configuration into `T`, whose fields are an object's keys.
pub(crate) fn read_settings<T: DeserializeOwned>(path: &Path) -> Result<(T, Value), ImportError> {
    let value = read(path, MAX_CONFIG)?;
    if !value.is_object() {
        return Err(ImportError::config(path, "not a JSON object"));
    }
    let settings = T::deserialize(&value).map_err(|e| ImportError::config(path, e.to_string()))?;
    Ok((settings, value))
}

struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Unique)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Unique(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Unique(value))) = map.next_entry::<String, Unique>()? {
            if object.contains_key(&key) {
                return Err(de::Error::custom(format_args!("the key {key} appears twice")));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
