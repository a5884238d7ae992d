//! Names of models on the hub.

use std::{fmt, str::FromStr};

use super::HubError;
use crate::shards::is_plain_name;

/// The revision that a name without one means.
pub(super) const MAIN: &str = "main";
/// Longest part of a name, in bytes.
const MAX_NAME: usize = 96;

/// `owner/name`, or `owner/name@revision` with a branch, a tag or a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubId {
    owner: String,
    name: String,
    revision: Option<String>,
}

impl HubId {
    /// The same model at another revision.
    ///
    /// # Errors
    /// [`HubError::Id`] if that is no name of a branch, a tag or a commit.
    pub fn at(self, revision: &str) -> Result<Self, HubError> {
        let plain = revision.split('/').all(is_plain_name) && !revision.contains(['?', '#', '%', '@']);
        if !plain {
            return Err(HubError::Id { text: format!("{self}@{revision}") });
        }
        Ok(Self { revision: Some(revision.to_owned()), ..self })
    }

    /// `owner/name`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// The branch, tag or commit.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(MAIN)
    }

    /// The folder of the model in the cache.
    pub(super) fn folder(&self) -> String {
        format!("models--{}--{}", self.owner, self.name)
    }
}

impl FromStr for HubId {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        let bad = || HubError::Id { text: text.to_owned() };
        let (repository, revision) = match text.split_once('@') {
            Some((repository, revision)) => (repository, Some(revision)),
            None => (text, None),
        };
        let (owner, name) = repository.split_once('/').ok_or_else(bad)?;
        if ![owner, name].into_iter().all(is_name) {
            return Err(bad());
        }
        let id = Self { owner: owner.to_owned(), name: name.to_owned(), revision: None };
        revision.map_or(Ok(id.clone()), |revision| id.at(revision))
    }
}

impl fmt::Display for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)?;
        self.revision.as_ref().map_or(Ok(()), |revision| write!(f, "@{revision}"))
    }
}

/// What the hub takes: letters, digits, `-`, `_` and `.`, neither first nor last nor two of `-` or `.` together.
fn is_name(name: &str) -> bool {
    let known = name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    let ends = [name.bytes().next(), name.bytes().next_back()];
    let bounded = ends.into_iter().all(|end| end.is_some_and(|b| !matches!(b, b'-' | b'.')));
    known && bounded && name.len() <= MAX_NAME && !name.contains("--") && !name.contains("..")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_of_models_and_nothing_else_are_taken() {
        for good in ["Wan-AI/Wan2.1-T2V-1.3B", "a/b", "org/x_1@main", "org/x@refs/pr/1", "o/n@v1.0"] {
            assert_eq!(good.parse::<HubId>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "a",
            "/a",
            "a/",
            "./a",
            "../a",
            "a/..",
            "a/b/c",
            "a//b",
            "-a/b",
            "a/b--c",
            "a/b.",
            "a b/c",
            "a/b@",
            "a/b@../x",
            "a/b@x/../y",
            "a/b@/x",
            "a/b@x?y",
            "a\\b/c",
            "ä/b",
            "C:/models",
        ] {
            assert!(bad.parse::<HubId>().is_err(), "{bad}");
        }
    }
}
