//! The rules of ftfy 6.3's `fix_text`, line by line until nothing changes.

use std::{borrow::Cow, sync::LazyLock};

use regex::Regex;
use unicode_normalization::UnicodeNormalization;

use super::{codepages::repair_c1_controls, entities::unescape_strictly, mojibake::repair_encoding};

/// The most characters treated as one line.
const LONGEST_LINE: usize = 1_000_000;

/// Latin ligatures, and digraphs that exist for old character sets only.
const LIGATURES: [(char, &str); 22] = [
    ('Ĳ', "IJ"),
    ('ĳ', "ij"),
    ('ŉ', "ʼn"),
    ('Ǳ', "DZ"),
    ('ǲ', "Dz"),
    ('ǳ', "dz"),
    ('Ǆ', "DŽ"),
    ('ǅ', "Dž"),
    ('ǆ', "dž"),
    ('Ǉ', "LJ"),
    ('ǈ', "Lj"),
    ('ǉ', "lj"),
    ('Ǌ', "NJ"),
    ('ǋ', "Nj"),
    ('ǌ', "nj"),
    ('ﬀ', "ff"),
    ('ﬁ', "fi"),
    ('ﬂ', "fl"),
    ('ﬃ', "ffi"),
    ('ﬄ', "ffl"),
    ('ﬅ', "ſt"),
    ('ﬆ', "st"),
];

/// Repairs each line by itself. From the first `<` on the text counts as HTML, and its references stay.
pub(super) fn repair(text: &str) -> String {
    let mut is_html = false;
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n').flat_map(split_long) {
        is_html |= line.contains('<');
        out += &repair_line(line, is_html);
    }
    out
}

fn split_long(mut line: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        let end = line.char_indices().nth(LONGEST_LINE).map_or(line.len(), |(at, _)| at);
        let (head, tail) = line.split_at(end);
        line = tail;
        (!head.is_empty()).then_some(head)
    })
}

fn repair_line(line: &str, is_html: bool) -> String {
    let mut text = line.to_owned();
    loop {
        let step = repair_once(&text, is_html);
        if step == text {
            return text;
        }
        text = step;
    }
}

fn repair_once(text: &str, is_html: bool) -> String {
    let text = if is_html { text.to_owned() } else { unescape_strictly(text) };
    let text = repair_c1_controls(&repair_encoding(text));
    let text = text.chars().map(repair_character).collect::<String>();
    let text = text.replace("\r\n", "\n").replace(['\r', '\u{2028}', '\u{2029}', '\u{85}'], "\n");
    let text = without_terminal_escapes(&text);
    text.chars().filter(|&c| !is_control(c)).nfc().collect()
}

/// Ligatures apart, standard width, straight quotes.
fn repair_character(c: char) -> Cow<'static, str> {
    match c {
        '\u{3000}' => " ".into(),
        '\u{ff01}'..='\u{ffef}' => std::iter::once(c).nfkc().collect::<String>().into(),
        '\u{2bc}' | '\u{2018}'..='\u{201b}' => "'".into(),
        '\u{201c}'..='\u{201f}' => "\"".into(),
        _ => match LIGATURES.iter().find(|(ligature, _)| *ligature == c) {
            Some((_, letters)) => letters.replace('ʼ', "'").into(),
            None => c.to_string().into(),
        },
    }
}

/// `ESC [`, digits of any script and semicolons, a letter.
static TERMINAL_ESCAPE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\x1b\[[\d;]*[a-zA-Z]").ok());

fn without_terminal_escapes(text: &str) -> Cow<'_, str> {
    match TERMINAL_ESCAPE.as_ref() {
        Some(escape) => escape.replace_all(text, ""),
        None => text.into(),
    }
}

/// Controls without effect on text: ASCII's but tab, line feed, form feed and return; deprecated Arabic ones;
/// interlinear annotations; the object replacement character; the byte order mark.
fn is_control(c: char) -> bool {
    matches!(c, '\0'..='\x08' | '\x0b' | '\x0e'..='\x1f' | '\x7f')
        || matches!(c, '\u{206a}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffc}')
}
