//! Which of two experts a file or folder is, by the words in its name: keys and shapes do not show it.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};

/// The noise levels at which an expert works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Noise {
    High,
    Low,
}

impl Noise {
    /// What the name of a file or folder says, or else that of the folder it lies in.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        last_names(path).into_iter().flatten().find_map(Self::in_name)
    }

    pub(crate) fn other(self) -> Self {
        match self {
            Self::High => Self::Low,
            Self::Low => Self::High,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Low => "low",
        }
    }

    /// Where both words occur, the one before `noise` counts.
    fn in_name(name: &str) -> Option<Self> {
        let [high, low] = [Self::High, Self::Low].map(|noise| noise.places(name));
        let before_noise = |places: &[Range<usize>]| places.iter().any(|place| is_noise(&name[place.end..]));
        let sides = match (high.is_empty(), low.is_empty()) {
            (false, false) => (before_noise(&high), before_noise(&low)),
            (no_high, no_low) => (!no_high, !no_low),
        };
        match sides {
            (true, false) => Some(Self::High),
            (false, true) => Some(Self::Low),
            _ => None,
        }
    }

    /// Where the word stands in `name`; "flow" and "highest" are other words.
    fn places(self, name: &str) -> Vec<Range<usize>> {
        let word = self.word();
        let here = |&start: &usize| {
            let text = name.as_bytes().get(start..start + word.len());
            text.is_some_and(|text| text.eq_ignore_ascii_case(word.as_bytes()))
        };
        let ranges = (0..name.len()).filter(here).map(|start| start..start + word.len());
        ranges.filter(|place| is_word(name, place)).collect()
    }

    /// `name` with the other word in this one's place, in the same case.
    fn swapped(self, name: &str) -> String {
        let (mut swapped, mut end) = (String::new(), 0);
        for place in self.places(name) {
            swapped.push_str(&name[end..place.start]);
            swapped.push_str(&in_case_of(&name[place.clone()], self.other().word()));
            end = place.end;
        }
        swapped + &name[end..]
    }
}

/// Where the other expert may lie, if `path` is the one for `noise`: the other word in the name, in its folder's, in
/// both.
pub(crate) fn siblings(path: &Path, noise: Noise) -> Vec<PathBuf> {
    let [Some(name), folder] = last_names(path) else { return Vec::new() };
    let beside = |folder: &Path| [folder.join(noise.swapped(name)), folder.join(name)];
    let parent = path.parent().unwrap_or(Path::new(""));
    let other_folder = folder.map(|folder| parent.with_file_name(noise.swapped(folder)));
    let places = [Some(parent.to_owned()), other_folder];
    let mut found: Vec<_> = places.into_iter().flatten().flat_map(|folder| beside(&folder)).collect();
    found.retain(|sibling| sibling != path);
    found.dedup();
    found
}

/// The name of `path`, and that of the folder it lies in.
fn last_names(path: &Path) -> [Option<&str>; 2] {
    [Some(path), path.parent()].map(|path| path?.file_name()?.to_str())
}

/// Whether the letters at `place` are a word of their own, be it only by its capital, or the first half of a word whose
/// second half is `noise`.
fn is_word(name: &str, place: &Range<usize>) -> bool {
    let letters = name.as_bytes();
    let (first, last) = (letters[place.start], letters[place.end - 1]);
    let before = name[..place.start].bytes().next_back().filter(u8::is_ascii_alphabetic);
    let after = name[place.end..].bytes().next().filter(u8::is_ascii_alphabetic);
    let starts = before.is_none_or(|b| b.is_ascii_lowercase() && first.is_ascii_uppercase());
    let ends = after.is_none_or(|a| last.is_ascii_lowercase() && a.is_ascii_uppercase());
    starts && (ends || starts_with_noise(&name[place.end..]))
}

fn is_noise(rest: &str) -> bool {
    starts_with_noise(rest.strip_prefix(['_', '-', '.', ' ']).unwrap_or(rest))
}

fn starts_with_noise(text: &str) -> bool {
    text.as_bytes().get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"noise"))
}

/// `word` in capitals, with a capital, or as it is, as `example` is written.
fn in_case_of(example: &str, word: &str) -> String {
    let upper = |text: &str| text.bytes().all(|b| b.is_ascii_uppercase());
    match (upper(example), upper(&example[..1])) {
        (true, _) => word.to_ascii_uppercase(),
        (false, true) => word[..1].to_ascii_uppercase() + &word[1..],
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_which_expert_a_file_is() {
        for (name, expected) in [
            ("wan2.2_i2v_high_noise_14B_fp16.safetensors", Some(Noise::High)),
            ("wan2.2_i2v_low_noise_14B_fp16.safetensors", Some(Noise::Low)),
            ("Wan2_2-I2V-A14B-HIGH_fp8.safetensors", Some(Noise::High)),
            ("Wan2.2-HighNoise-Q8.safetensors", Some(Noise::High)),
            ("WanLowNoise14B", Some(Noise::Low)),
            ("wanlownoise14B", None),
            ("wan_lownoise14B", Some(Noise::Low)),
            ("low-noise", Some(Noise::Low)),
            ("wan22High", Some(Noise::High)),
            ("high_noise_lowvram", Some(Noise::High)),
            ("high_noise_low_vram", Some(Noise::High)),
            ("high_low", None),
            ("high_noise_and_low_noise", None),
            ("flow_match", None),
            ("Highest", None),
            ("wan_slow", None),
            ("", None),
        ] {
            assert_eq!(Noise::of(Path::new(name)), expected, "{name}");
        }
        assert_eq!(Noise::of(Path::new("a/high_noise_model/x.safetensors")), Some(Noise::High));
        assert_eq!(
            Noise::of(Path::new("high/x_low.safetensors")),
            Some(Noise::Low),
            "the nearer name counts"
        );
    }

    #[test]
    fn siblings_keep_the_case_and_stay_in_place() {
        for (path, expected) in [
            ("m/HIGH_a", vec!["m/LOW_a"]),
            ("m/HighNoise", vec!["m/LowNoise"]),
            ("m/high_noise_é_high", vec!["m/low_noise_é_low"]),
            ("high/w", vec!["low/w"]),
            ("x/high/w_high", vec!["x/high/w_low", "x/low/w_low", "x/low/w_high"]),
            ("high", vec!["low"]),
        ] {
            let found = siblings(Path::new(path), Noise::High);
            assert_eq!(found, expected.into_iter().map(PathBuf::from).collect::<Vec<_>>(), "{path}");
        }
    }
}
