//! Character references of HTML: the lenient rules of browsers, and the strict ones for text that is not HTML.

use htmlize::ENTITIES;

use super::codepages::{WINDOWS_1252, character};

/// The longest name looked at, in characters.
const LONGEST_NAME: usize = 32;

/// Replaces every character reference once, with or without its semicolon, as Python's `html.unescape` does: the
/// longest known name wins, and code points without a character vanish.
pub(super) fn unescape_html(text: &str) -> String {
    replace_at_ampersands(text, |rest| {
        let length = reference_length(rest)?;
        let body = &rest[..length];
        let replacement = match body.strip_prefix('#') {
            Some(number) => numeric(number.trim_end_matches(';')),
            None => longest_name(body),
        };
        Some((length, replacement))
    })
}

/// Replaces the references that are unmistakable: a whole known name and its semicolon. A lower-case name is known in
/// upper case too if that is no name of its own, and stands for the upper-case character then (`&EACUTE;`).
pub(super) fn unescape_strictly(text: &str) -> String {
    replace_at_ampersands(text, |rest| {
        let body = rest.strip_prefix('#').unwrap_or(rest);
        let letters = body.bytes().take_while(u8::is_ascii_alphanumeric).count();
        if !(1..=24).contains(&letters) || body.as_bytes().get(letters) != Some(&b';') {
            return None;
        }
        let length = rest.len() - body.len() + letters + 1;
        let replacement = if body.len() < rest.len() {
            strict_number(&rest[..length])?
        } else {
            strict_name(&rest[..length])?
        };
        Some((length, replacement))
    })
}

/// Calls `reference` with what follows each `&`; it gives the bytes to replace after the `&`, and their replacement.
fn replace_at_ampersands(text: &str, reference: impl Fn(&str) -> Option<(usize, String)>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        match reference(rest) {
            Some((length, replacement)) => {
                out.push_str(&replacement);
                rest = &rest[length..];
            }
            None => out.push('&'),
        }
    }
    out + rest
}

/// Bytes of the reference at the start of `rest`, its semicolon included.
fn reference_length(rest: &str) -> Option<usize> {
    let length = match rest.strip_prefix('#') {
        Some(number) => 1 + number_length(number)?,
        None => {
            let ends = |c| matches!(c, '\t' | '\n' | '\x0c' | ' ' | '<' | '&' | '#' | ';');
            let name = rest.chars().take(LONGEST_NAME).take_while(|&c| !ends(c)).map(char::len_utf8).sum();
            (name > 0).then_some(name)?
        }
    };
    Some(length + usize::from(rest[length..].starts_with(';')))
}

fn number_length(number: &str) -> Option<usize> {
    let count = |digits: &str, radix| digits.chars().take_while(|c| c.is_digit(radix)).count();
    let digits = match number.strip_prefix(['x', 'X']) {
        Some(hex) => Some(count(hex, 16)).filter(|&n| n > 0).map(|n| n + 1),
        None => None,
    };
    digits.or_else(|| Some(count(number, 10)).filter(|&n| n > 0))
}

/// The character of `number` (decimal, or hexadecimal after an x). Numbers of C1 controls mean Windows-1252, as on
/// the web.
fn numeric(number: &str) -> String {
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => number.parse(),
    };
    match code {
        Ok(0) | Err(_) => '\u{fffd}'.into(),
        Ok(code @ 0x80..=0x9f) => character(&WINDOWS_1252, code as u8).into(),
        Ok(code) if is_unassignable(code) => String::new(),
        Ok(code) => char::from_u32(code).unwrap_or('\u{fffd}').into(),
    }
}

/// Controls and noncharacters.
fn is_unassignable(code: u32) -> bool {
    matches!(code, 0x01..=0x08 | 0x0b | 0x0e..=0x1f | 0x7f | 0xfdd0..=0xfdef)
        || (code <= 0x10_ffff && code & 0xfffe == 0xfffe)
}

fn entity(name: &str) -> Option<&'static str> {
    let value: &[u8] = ENTITIES.get(format!("&{name}").as_bytes())?;
    str::from_utf8(value).ok()
}

/// `body` with its longest known beginning replaced; with its `&` if none is known.
fn longest_name(body: &str) -> String {
    let ends = body.char_indices().map(|(start, c)| start + c.len_utf8());
    let known = ends.rev().filter(|&end| end > 1).find_map(|end| Some((end, entity(&body[..end])?)));
    match known {
        Some((end, value)) => format!("{value}{}", &body[end..]),
        None => format!("&{body}"),
    }
}

/// `reference` is `#...;`. A number with foreign letters before its semicolon is left alone.
fn strict_number(reference: &str) -> Option<String> {
    let body = &reference[1..reference.len() - 1];
    let whole = number_length(body) == Some(body.len());
    whole.then(|| numeric(body)).filter(|value| value != ";")
}

/// `name` ends in its semicolon.
fn strict_name(name: &str) -> Option<String> {
    if let Some(value) = entity(name) {
        return Some(value.to_owned());
    }
    let lower = name.to_ascii_lowercase();
    let shouted = name.to_ascii_uppercase() == name && longest_name(name) == format!("&{name}");
    shouted.then(|| entity(&lower)).flatten().map(str::to_uppercase)
}
