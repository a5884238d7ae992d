//! JSON files that people may have edited: bounded in size, and no key twice in an object.

use std::{collections::BTreeSet, fmt, path::Path};

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

use crate::{ImportError, bounded};

/// Largest configuration that is read, in bytes.
pub(crate) const MAX_CONFIG: u64 = 1 << 20;

/// Reads a JSON file of at most `limit` bytes, of which the values take a few dozen times as many.
pub(crate) fn read(path: &Path, limit: u64) -> Result<Value, ImportError> {
    let Unique(value) = parse(path, &text(path, limit)?)?;
    Ok(value)
}

/// Reads a JSON file of at most `limit` bytes straight into what is wanted of it: in a large one, values that nobody
/// asks for take no memory.
pub(crate) fn read_as<T: DeserializeOwned>(path: &Path, limit: u64) -> Result<T, ImportError> {
    let text = text(path, limit)?;
    parse::<Distinct>(path, &text)?;
    parse(path, &text)
}

fn text(path: &Path, limit: u64) -> Result<Vec<u8>, ImportError> {
    let too_large = || ImportError::config(path, format!("larger than {limit} bytes"));
    bounded::read(path, limit)?.ok_or_else(too_large)
}

fn parse<T: DeserializeOwned>(path: &Path, text: &[u8]) -> Result<T, ImportError> {
    serde_json::from_slice(text).map_err(|error| ImportError::config(path, error.to_string()))
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
                return Err(twice(&key));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// Any JSON without a key twice in an object; its values are not kept.
struct Distinct;

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DistinctVisitor)
    }
}

struct DistinctVisitor;

impl<'de> Visitor<'de> for DistinctVisitor {
    type Value = Distinct;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_str<E>(self, _: &str) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_unit<E>(self) -> Result<Distinct, E> {
        Ok(Distinct)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Distinct, A::Error> {
        while seq.next_element::<Distinct>()?.is_some() {}
        Ok(Distinct)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Distinct, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some((key, Distinct)) = map.next_entry::<String, Distinct>()? {
            if let Some(key) = keys.replace(key) {
                return Err(twice(&key));
            }
        }
        Ok(Distinct)
    }
}

fn twice<E: de::Error>(key: &str) -> E {
    E::custom(format_args!("the key {key} appears twice"))
}
