//! Changes of bytes and of texts, from a seed's own pieces and from values that break readers.

/// Numbers at the edges of what integers and floats hold.
const NUMBERS: [&str; 22] = [
    "0",
    "-1",
    "1",
    "-0",
    "2",
    "7",
    "16",
    "255",
    "65536",
    "4294967295",
    "4294967296",
    "-2147483648",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1e308",
    "-1e308",
    "1e999",
    "0.5",
    "1e-320",
    "123456789012345678901234567890",
];
const TEXTS: [&str; 16] = [
    "null",
    "true",
    "false",
    "[]",
    "{}",
    "\"\"",
    "\"..\"",
    "\"../../x\"",
    "\"/etc/passwd\"",
    "\"a\\u0000b\"",
    "\"C:\\\\x\"",
    "NaN",
    "[[[[[[[[]]]]]]]]",
    "{\"a\":{\"a\":{\"a\":{}}}}",
    "\"\\ud800\"",
    "'<f8'",
];
const INTEGERS: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 32, i64::MAX as u64, u64::MAX];
/// Longest input, in bytes.
const LONGEST: usize = 1 << 17;

/// A stream of choices (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { (self.next() % end as u64) as usize }
    }

    pub fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// One to eight changes of `seed`. `other` lends pieces; `words` are what the format's readers look for.
pub fn mutate(random: &mut Random, seed: &[u8], other: &[u8], words: &[&str]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    // Most often one or two: what many changes hit is refused early.
    let most = 1 << random.below(4);
    let count = 1 + random.below(most);
    let text = std::str::from_utf8(seed).is_ok();
    for _ in 0..count {
        if text && random.below(4) > 0 {
            change_token(random, &mut bytes, words);
        } else {
            change_bytes(random, &mut bytes, other);
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

fn change_bytes(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = random.below(bytes.len() + 1);
    let range = piece(random, bytes.len());
    match random.below(9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        1 if at < bytes.len() => bytes[at] = random.next() as u8,
        2 => bytes.insert(at, random.next() as u8),
        3 => drop(bytes.drain(range)),
        4 => bytes.truncate(at),
        5 => {
            let copied = bytes[range].to_vec();
            drop(bytes.splice(at..at, copied));
        }
        6 => {
            let lent = other[piece(random, other.len())].to_vec();
            drop(bytes.splice(range, lent));
        }
        _ => {
            let width = *random.of(&[1, 2, 4, 8]);
            let value = random.of(&INTEGERS).wrapping_sub(random.below(3) as u64);
            let written = if random.below(2) == 0 {
                value.to_le_bytes()[..width].to_vec()
            } else {
                value.to_be_bytes()[8 - width..].to_vec()
            };
            let end = (at + width).min(bytes.len());
            drop(bytes.splice(at..end, written));
        }
    }
}

/// A part, most often a short one.
fn piece(random: &mut Random, length: usize) -> std::ops::Range<usize> {
    let start = random.below(length + 1);
    let longest = if random.below(4) == 0 { length } else { 16 };
    start..(start + random.below(longest + 1)).min(length)
}

/// Replaces, doubles, swaps or drops a word, a number, a quoted text or a sign.
fn change_token(random: &mut Random, bytes: &mut Vec<u8>, words: &[&str]) {
    let tokens = tokens(bytes);
    if tokens.is_empty() {
        return;
    }
    let [one, two] = [(); 2].map(|()| random.of(&tokens).clone());
    let new: Vec<u8> = match random.below(8) {
        0 | 1 => random.of(&NUMBERS).as_bytes().to_vec(),
        2 => random.of(&TEXTS).as_bytes().to_vec(),
        3 if !words.is_empty() => {
            let word = random.of(words);
            if bytes[one.start] == b'"' {
                format!("\"{word}\"").into_bytes()
            } else {
                word.as_bytes().to_vec()
            }
        }
        4 => Vec::new(),
        5 => bytes[one.clone()].repeat(2 + random.below(4)),
        6 => {
            let deep = 1 << random.below(12);
            [b"[".repeat(deep), b"]".repeat(if random.below(2) == 0 { deep } else { 0 })].concat()
        }
        // Of one sort most often, so that the whole still makes sense.
        _ => bytes[two].to_vec(),
    };
    drop(bytes.splice(one, new));
}

fn tokens(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut tokens, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let start = at;
        at += 1;
        match bytes[start] {
            b if b.is_ascii_whitespace() => continue,
            quote @ (b'"' | b'\'') => {
                while at < bytes.len() && bytes[at] != quote {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at = (at + 1).min(bytes.len());
            }
            b if b.is_ascii_alphanumeric() || b == b'-' => {
                let more = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-');
                at += bytes[at..].iter().take_while(|b| more(b)).count();
            }
            _ => {}
        }
        tokens.push(start..at);
    }
    tokens
}
