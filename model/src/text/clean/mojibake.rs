//! Undoes UTF-8 that was read in an eight-bit character set, in the steps of ftfy 6.3's `fix_encoding`.

use std::{collections::BTreeSet, sync::LazyLock};

use regex::bytes::Regex;

use super::{
    badness::is_bad,
    codepages::{CodePage, WINDOWS_1252, character, repair_c1_controls},
};

/// UTF-8 sequences in which a space took the place of byte 0xa0, as far as that makes a likely character.
const SPACED: &str = r"(?-u)[\xc2\xc3\xc5\xce\xd0\xd9] |[\xe2\xe3] [\x80-\x84\x86-\x9f\xa1-\xbf]|[\xe0-\xe3][\x80-\x84\x86-\x9f\xa1-\xbf] |\xf0 [\x80-\xbf][\x80-\xbf]|\xf0[\x80-\xbf] [\x80-\xbf]|\xf0[\x80-\xbf][\x80-\xbf] ";

/// UTF-8 and CESU-8 sequences in which byte 0x1a, or once a question mark, took the place of another.
const LOSSY: &str = r"(?-u)[\xc2-\xdf]\x1a|[\xc2-\xc3][?]|\xed[\xa0-\xaf][\x1a?]\xed[\xb0-\xbf][\x1a?\x80-\xbf]|\xed[\xa0-\xaf][\x1a?\x80-\xbf]\xed[\xb0-\xbf][\x1a?]|[\xe0-\xef][\x1a?][\x1a\x80-\xbf]|[\xe0-\xef][\x1a\x80-\xbf][\x1a?]|[\xf0-\xf4][\x1a?][\x1a\x80-\xbf][\x1a\x80-\xbf]|[\xf0-\xf4][\x1a\x80-\xbf][\x1a?][\x1a\x80-\xbf]|[\xf0-\xf4][\x1a\x80-\xbf][\x1a\x80-\xbf][\x1a?]|\x1a";

/// Repairs until nothing changes.
pub(super) fn repair_encoding(mut text: String) -> String {
    loop {
        let step = repair_once(&text);
        if step == text {
            return text;
        }
        text = step;
    }
}

fn repair_once(text: &str) -> String {
    if text.is_ascii() || !is_bad(text) {
        return text.to_owned();
    }
    if let Some(whole) = CodePage::ALL.iter().find_map(|&page| reread(text, page)) {
        return whole;
    }
    let parts = repair_parts(text);
    if parts != text {
        return parts;
    }
    // What Latin-1 has and Windows-1252 lacks are the C1 controls.
    latin1_as_windows_1252(text).unwrap_or_else(|| repair_c1_controls(text))
}

/// The text whose UTF-8 reads as `text` in `page`.
fn reread(text: &str, page: CodePage) -> Option<String> {
    let mut bytes = page.encode(text)?;
    if page != CodePage::Macroman && SPACED_SEQUENCE.as_ref().is_some_and(|spaced| spaced.is_match(&bytes)) {
        bytes = restore_no_break_spaces(&bytes);
    }
    if page.is_sloppy() {
        bytes = replace_lossy(&bytes);
    }
    decode(&bytes)
}

static SPACED_SEQUENCE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(SPACED).ok());
static LOSSY_SEQUENCE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(LOSSY).ok());

fn restore_no_break_spaces(bytes: &[u8]) -> Vec<u8> {
    let bytes = separate_a_grave(bytes);
    let restore = |found: &regex::bytes::Captures<'_>| found[0].iter().map(no_break).collect::<Vec<u8>>();
    match SPACED_SEQUENCE.as_ref() {
        Some(spaced) => spaced.replace_all(&bytes, restore).into_owned(),
        None => bytes,
    }
}

fn no_break(&byte: &u8) -> u8 {
    if byte == b' ' { 0xa0 } else { byte }
}

/// The word "à" keeps a space behind it, unless it begins one of the Portuguese contractions.
fn separate_a_grave(bytes: &[u8]) -> Vec<u8> {
    let joined = [&b" "[..], b"quele", b"quela", b"quilo", b"s "];
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        out.push(byte);
        if byte == 0xc3
            && tail.first() == Some(&b' ')
            && !joined.iter().any(|word| tail[1..].starts_with(word))
        {
            out.extend(b"\xa0 ");
            rest = &tail[1..];
        }
    }
    out
}

fn replace_lossy(bytes: &[u8]) -> Vec<u8> {
    let replacement = "\u{fffd}".as_bytes();
    match LOSSY_SEQUENCE.as_ref() {
        Some(lossy) => lossy.replace_all(bytes, regex::bytes::NoExpand(replacement)).into_owned(),
        None => bytes.to_vec(),
    }
}

/// UTF-8, surrogate pairs encoded one by one (CESU-8) and the two-byte null of Java included.
fn decode(mut bytes: &[u8]) -> Option<String> {
    let mut out = String::new();
    while !bytes.is_empty() {
        let valid = match str::from_utf8(bytes) {
            Ok(text) => return Some(out + text),
            Err(error) => error.valid_up_to(),
        };
        let (head, tail) = bytes.split_at(valid);
        out += str::from_utf8(head).ok()?;
        let (c, length) = decode_variant(tail)?;
        out.push(c);
        bytes = &tail[length..];
    }
    Some(out)
}

fn decode_variant(bytes: &[u8]) -> Option<(char, usize)> {
    match *bytes {
        // A lead before the last line feed counts as a null too: the reference's pattern ends there.
        [0xc0, 0x80, ..] | [0xc0, b'\n'] => Some(('\0', 2)),
        [0xed, a @ 0xa0..=0xaf, b @ 0x80..=0xbf, 0xed, c @ 0xb0..=0xbf, d @ 0x80..=0xbf, ..] => {
            let bits = |byte: u8, mask: u8, shift: u32| u32::from(byte & mask) << shift;
            let low = bits(a, 0x0f, 16) + bits(b, 0x3f, 10) + bits(c, 0x0f, 6) + bits(d, 0x3f, 0);
            Some((char::from_u32(0x10000 + low)?, 6))
        }
        _ => None,
    }
}

/// `None` if nothing changes or a byte has no character in Windows-1252 proper.
fn latin1_as_windows_1252(text: &str) -> Option<String> {
    let bytes = CodePage::Latin1.encode(text)?;
    let read = |byte: u8| match byte {
        0x80..=0x9f => Some(character(&WINDOWS_1252, byte)).filter(|c| !('\u{80}'..='\u{9f}').contains(c)),
        _ => Some(byte.into()),
    };
    let fixed = bytes.into_iter().map(read).collect::<Option<String>>()?;
    (fixed != text).then_some(fixed)
}

/// Characters by the role their bytes have in UTF-8, in any of the common sets.
struct Clues {
    /// Leads of sequences of two, three and four bytes.
    leads: [BTreeSet<char>; 3],
    continuation: BTreeSet<char>,
    /// Continuations that rarely stand for themselves beside misread text.
    strict: BTreeSet<char>,
}

static CLUES: LazyLock<Clues> = LazyLock::new(|| {
    let characters = |bytes: &mut dyn Iterator<Item = u8>| -> BTreeSet<char> {
        bytes.flat_map(|byte| CodePage::common().iter().map(move |page| page.character(byte))).collect()
    };
    let mut continuation = characters(&mut (0x80..=0xbf));
    let strict = continuation.iter().copied().filter(|c| !"–—―‘’‚“”„•…".contains(*c)).collect();
    continuation.insert(' ');
    // 0xf0 and 0xf3 lead all assigned characters beyond 16 bits.
    let leads = [
        characters(&mut (0xc2..=0xdf)),
        characters(&mut (0xe0..=0xef)),
        characters(&mut [0xf0, 0xf3].into_iter()),
    ];
    Clues { leads, continuation, strict }
});

/// Repairs runs that look like misread UTF-8 within text that is not misread as a whole.
fn repair_parts(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < characters.len() {
        let length = run_length(&characters, at);
        let run: String = characters[at..at + length.max(1)].iter().collect();
        let repaired = length > 0 && length < characters.len() && is_bad(&run);
        out += &if repaired { repair_encoding(run) } else { run };
        at += length.max(1);
    }
    out
}

/// Characters of the run of sequences at `at`; none behind a strict continuation.
fn run_length(characters: &[char], at: usize) -> usize {
    if at > 0 && CLUES.strict.contains(&characters[at - 1]) {
        return 0;
    }
    let mut end = at;
    while let Some(length) = sequence_length(&characters[end..]) {
        end += length;
    }
    end - at
}

fn sequence_length(characters: &[char]) -> Option<usize> {
    let (first, rest) = characters.split_first()?;
    (1..=3).find_map(|count| {
        let lead = CLUES.leads[count - 1].contains(first);
        let whole = rest.get(..count)?.iter().all(|c| CLUES.continuation.contains(c));
        (lead && whole).then_some(count + 1)
    })
}
