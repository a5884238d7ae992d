//! Which key of a file fills which parameter of a module, as tables.
//!
//! A pattern is a key whose segments may be `#`, a decimal index, or, at its end, `*`, everything that follows. What
//! `#` and `*` stood for in the module path goes into the file key, in order.

mod diffusers;
mod official;
mod vae;

pub use vae::VaeStages;

/// Whose names a file uses. For the text and image encoders `Diffusers` means the names of their folders there, which
/// are those of Hugging Face transformers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// The names of the authors' own code; single-file repackagings keep them.
    Official,
    /// The names of the diffusers and transformers libraries.
    Diffusers,
}

/// Module paths to file keys, for one module of one naming.
#[derive(Clone, Debug)]
pub struct KeyTable {
    /// Stands before every file key; keys of the file without it belong to other components.
    prefix: String,
    rules: Vec<(String, String)>,
    allowed_unused: Vec<String>,
    keep_high: &'static [&'static str],
}

/// Parts of the diffusion transformer that stay in f32 whatever the matmul dtype: they are small, and every block
/// depends on them.
const DIT_KEEP_HIGH: &[&str] = &["time_embedding", "time_projection", "head", "patch_embedding"];

impl KeyTable {
    /// The diffusion transformer, behind `prefix` (empty, or what a repackaging put before the keys).
    pub fn dit(naming: Naming, prefix: &str) -> Self {
        let rules = match naming {
            Naming::Official => official::DIT,
            Naming::Diffusers => diffusers::DIT,
        };
        Self { prefix: prefix.into(), keep_high: DIT_KEEP_HIGH, ..Self::custom(rules, &[]) }
    }

    /// The text encoder without its token embedding.
    pub fn umt5(naming: Naming) -> Self {
        match naming {
            Naming::Official => Self::custom(official::UMT5, official::UMT5_UNUSED),
            Naming::Diffusers => Self::custom(diffusers::UMT5, diffusers::UMT5_UNUSED),
        }
    }

    /// The image encoder of `layers` blocks, behind `prefix`. Its last block is not part of the module.
    pub fn clip(naming: Naming, prefix: &str, layers: usize) -> Self {
        let (rules, unused, blocks) = match naming {
            Naming::Official => (official::CLIP, official::CLIP_UNUSED, official::CLIP_BLOCKS),
            Naming::Diffusers => (diffusers::CLIP, diffusers::CLIP_UNUSED, diffusers::CLIP_BLOCKS),
        };
        let last = layers.checked_sub(1).map(|last| format!("{blocks}.{last}.*"));
        let mut table = Self { prefix: prefix.into(), ..Self::custom(rules, unused) };
        table.allowed_unused.extend(last);
        table
    }

    /// A table of one's own: (module path, file key) patterns, and patterns of file keys that nobody needs.
    pub fn custom(rules: &[(&str, &str)], allowed_unused: &[&str]) -> Self {
        Self {
            prefix: String::new(),
            rules: rules.iter().map(|&(path, key)| (path.into(), key.into())).collect(),
            allowed_unused: allowed_unused.iter().map(|&key| key.into()).collect(),
            keep_high: &[],
        }
    }

    /// The file key of a module path.
    pub fn file_key(&self, path: &str) -> Option<String> {
        let key =
            self.rules.iter().find_map(|(pattern, key)| Some(substitute(key, captures(pattern, path)?)))?;
        Some(format!("{}{key}", self.prefix))
    }

    /// Whether a file key may be left over when the module is full.
    pub fn allows_unused(&self, key: &str) -> bool {
        match key.strip_prefix(&self.prefix) {
            Some(key) => self.allowed_unused.iter().any(|pattern| captures(pattern, key).is_some()),
            None => true,
        }
    }

    /// Whether the parameter at `path` stays in f32 whatever the matmul dtype.
    pub fn keeps_high(&self, path: &str) -> bool {
        self.keep_high.iter().any(|p| path.strip_prefix(p).is_some_and(|rest| rest.starts_with('.')))
    }
}

/// The names under which a text encoder may hold its token embedding.
pub(crate) fn token_keys(naming: Naming) -> &'static [&'static str] {
    match naming {
        Naming::Official => official::UMT5_TOKENS,
        Naming::Diffusers => diffusers::UMT5_TOKENS,
    }
}

/// The rules of one block: its place joined with each of its parts.
fn place<'a>(
    path: &'a str,
    key: &'a str,
    parts: &'a [(&str, &str)],
) -> impl Iterator<Item = (String, String)> {
    parts.iter().map(move |(sub_path, sub_key)| (format!("{path}.{sub_path}"), format!("{key}.{sub_key}")))
}

/// What the wildcards of `pattern` stand for in `key`; `None` if it does not match.
fn captures<'a>(pattern: &str, key: &'a str) -> Option<Vec<&'a str>> {
    let (mut rest, mut found) = (Some(key), Vec::new());
    for segment in pattern.split('.') {
        let text = rest?;
        if segment == "*" {
            found.push(text);
            return (!text.is_empty()).then_some(found);
        }
        let (head, tail) = text.split_once('.').map_or((text, None), |(head, tail)| (head, Some(tail)));
        match segment {
            "#" if !head.is_empty() && head.bytes().all(|b| b.is_ascii_digit()) => found.push(head),
            _ if segment == head => {}
            _ => return None,
        }
        rest = tail;
    }
    rest.is_none().then_some(found)
}

/// `pattern` with its wildcards replaced, in order.
fn substitute(pattern: &str, captures: Vec<&str>) -> String {
    let mut captures = captures.into_iter();
    let segments =
        pattern.split('.').map(|s| if matches!(s, "#" | "*") { captures.next().unwrap_or(s) } else { s });
    segments.collect::<Vec<_>>().join(".")
}
