//! Configurations of the networks: read from shapes, completed from and checked against `config.json`.

mod clip;
mod dit;
mod umt5;
mod vae;

use std::path::Path;

use serde_json::Value;

use crate::{ImportError, KeyTable, TensorSource};

pub(crate) use clip::clip;
pub(crate) use dit::{dit, heads};
pub(crate) use umt5::umt5;
pub(crate) use vae::vae;

/// Shapes by module path.
pub(crate) struct Shapes<'a> {
    pub(crate) source: &'a dyn TensorSource,
    pub(crate) keys: &'a KeyTable,
}

impl Shapes<'_> {
    /// The shape of a tensor that must be there, with `N` dimensions, none of them zero.
    pub(crate) fn get<const N: usize>(&self, path: &str) -> Result<[usize; N], ImportError> {
        let key = self.keys.file_key(path).unwrap_or_else(|| path.to_owned());
        let file = || self.source.path().to_owned();
        let Some(info) = self.source.info(&key) else {
            return Err(ImportError::MissingTensors { path: file(), count: 1, first: vec![key] });
        };
        match <[usize; N]>::try_from(info.shape.as_slice()) {
            Ok(shape) if !shape.contains(&0) => Ok(shape),
            _ => {
                let (expected, found) = (vec![0; N], info.shape.clone());
                Err(ImportError::Shape { path: file(), key, expected, found })
            }
        }
    }

    pub(crate) fn has(&self, path: &str) -> bool {
        self.keys.file_key(path).is_some_and(|key| self.source.info(&key).is_some())
    }

    /// How many indices, from 0 on, `#` in `pattern` can take.
    pub(crate) fn count(&self, pattern: &str) -> usize {
        (0..).take_while(|n| self.has(&pattern.replace('#', &n.to_string()))).count()
    }
}

/// A `config.json`, or the absence of one.
pub(crate) struct Settings<'a> {
    pub(crate) path: &'a Path,
    pub(crate) json: Option<&'a Value>,
}

impl<'a> Settings<'a> {
    /// The first of `names` that is set and not null.
    pub(crate) fn find(&self, names: &[&'static str]) -> Option<(&'static str, &'a Value)> {
        let json = self.json?;
        names.iter().find_map(|name| Some((*name, json.get(name).filter(|v| !v.is_null())?)))
    }

    pub(crate) fn count(&self, names: &[&'static str]) -> Result<Option<usize>, ImportError> {
        let Some((name, value)) = self.find(names) else { return Ok(None) };
        let count = value.as_u64().and_then(|n| usize::try_from(n).ok());
        count.map(Some).ok_or_else(|| self.bad(name, value, "a count"))
    }

    /// A positive number, or `default`.
    pub(crate) fn positive(&self, names: &[&'static str], default: f64) -> Result<f64, ImportError> {
        let Some((name, value)) = self.find(names) else { return Ok(default) };
        let number = value.as_f64().filter(|n| n.is_finite() && *n > 0.0);
        number.ok_or_else(|| self.bad(name, value, "a positive number"))
    }

    /// A list of `len` finite numbers.
    pub(crate) fn numbers(&self, name: &'static str, len: usize) -> Result<Option<Vec<f32>>, ImportError> {
        let Some((_, value)) = self.find(&[name]) else { return Ok(None) };
        let numbers = value.as_array().filter(|list| list.len() == len);
        let numbers = numbers.and_then(|list| list.iter().map(finite).collect());
        numbers.map(Some).ok_or_else(|| self.bad(name, value, &format!("a list of {len} numbers")))
    }

    /// Refuses a configuration whose `names` contradict the tensors.
    pub(crate) fn agree(&self, names: &[&'static str], tensors: usize) -> Result<(), ImportError> {
        match (self.count(names)?, self.find(names)) {
            (Some(config), Some((field, _))) if config != tensors => {
                let (config, tensors) = (config.to_string(), tensors.to_string());
                Err(ImportError::Conflict { path: self.path.to_owned(), field, config, tensors })
            }
            _ => Ok(()),
        }
    }

    /// [`Self::agree`] for any JSON value.
    pub(crate) fn agree_value(&self, field: &'static str, tensors: &Value) -> Result<(), ImportError> {
        match self.find(&[field]) {
            Some((_, config)) if config != tensors => {
                let (config, tensors) = (config.to_string(), tensors.to_string());
                Err(ImportError::Conflict { path: self.path.to_owned(), field, config, tensors })
            }
            _ => Ok(()),
        }
    }

    fn bad(&self, name: &str, value: &Value, expected: &str) -> ImportError {
        ImportError::config(self.path, format!("{name} = {value} is not {expected}"))
    }
}

fn finite(value: &Value) -> Option<f32> {
    value.as_f64().map(|n| n as f32).filter(|n| n.is_finite())
}

/// A known network whose shapes cannot be.
fn unfit(source: &dyn TensorSource, evidence: String) -> ImportError {
    ImportError::Unrecognised { path: source.path().to_owned(), evidence: vec![evidence] }
}
