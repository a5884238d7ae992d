//! Checksums by which the hub names contents: SHA-256 of large files, git's SHA-1 of small ones.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256};

/// Hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    Sha256(String),
    /// Of a git object, which begins with its kind and length.
    Git(String),
}

impl Digest {
    /// By its length.
    pub fn parse(text: &str) -> Option<Self> {
        if !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        match text.len() {
            64 => Some(Self::Sha256(text.to_ascii_lowercase())),
            40 => Some(Self::Git(text.to_ascii_lowercase())),
            _ => None,
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Self::Sha256(text) | Self::Git(text) => text,
        }
    }

    /// Of contents of so many bytes.
    pub fn begin(&self, bytes: u64) -> Sum {
        match self {
            Self::Sha256(_) => Sum(Context::new(&SHA256)),
            Self::Git(_) => {
                let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
                context.update(format!("blob {bytes}\0").as_bytes());
                Sum(context)
            }
        }
    }
}

/// A checksum of bytes that are still coming.
pub(super) struct Sum(Context);

impl Sum {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn is(self, digest: &Digest) -> bool {
        use std::fmt::Write;
        let mut text = String::new();
        for byte in self.0.finish().as_ref() {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        text == digest.text()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_sha256sum_and_git_hash_object() {
        // `printf 'hello\n' | sha256sum` and `| git hash-object --stdin`.
        for text in [
            "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
            "ce013625030ba8dba906f756967f9e9ca394464a",
        ] {
            let digest = Digest::parse(text).unwrap();
            let mut sum = digest.begin(6);
            sum.update(b"hel");
            sum.update(b"lo\n");
            assert!(sum.is(&digest), "{text}");
            assert!(!digest.begin(6).is(&digest));
        }
        assert!(Digest::parse("../../etc/passwd").is_none() && Digest::parse("abc").is_none());
    }
}
