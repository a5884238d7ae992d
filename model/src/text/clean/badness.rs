//! Juxtapositions of characters that come from misread encodings and hardly ever from a writer.
//!
//! The classes and pairs are those of ftfy 6.3 (Robyn Speer, Apache-2.0), whose judgement is reproduced.

use std::sync::LazyLock;

use regex::Regex;

/// In use everywhere, and no sign of anything.
const COMMON: &str = "\u{a0}\u{ad}·´–—―…’";
const C1: &str = "\u{80}-\u{9f}";
/// Hardly used outside misread text.
const BAD: &str = "¦¤¨¬¯¸ƒˆˇ˘˛˜†‡‰⌐◊\u{fffd}ªº";
const LAW: &str = "¶§";
const CURRENCY: &str = "¢£¥₧€";
const OPENING: &str = "¡«¿©΄΅‘‚“„•‹\u{f8ff}";
const CLOSING: &str = "®»˝”›™";
const NUMERIC: &str = "²³¹±¼½¾×µ÷⁄∂∆∏∑√∞∩∫≈≠≡≤≥№";
/// Letters that faces are made of.
const FACE: &str = "Ò-ÖÙ-Üò-öø-üŐŌŪŲ°";
const UPPER: &str = "À-ÑØÜÝĂĀĄĆČĎĐĘĚĒĖĞĢİĪĶĹĽŁĻŃŇŅŒŘŚŞŠŢŤŮŰŸŹŻŽҐ";
const LOWER: &str = "ßà-ñăąāćčďđęěēėğģįīķĺľłļœŕśşšťüźżžґﬁﬂ";
const UPPER_COMMON: &str = "ÞΑ-ΩΆΈΉΊΌΎΏΪΫЁ-Я";
const LOWER_COMMON: &str = "α-ωάέήίΰа-џ";
/// Box drawing, without the single horizontal line.
const FRAME: &str = "│┌┐┘├┤┬┼═-╬▀▄█▌▐░▒▓";

static BADNESS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(&pattern()).ok());

/// Whether something in the text looks misread.
pub(super) fn is_bad(text: &str) -> bool {
    BADNESS.as_ref().is_some_and(|badness| badness.is_match(text))
}

fn pattern() -> String {
    [general(), windows_1252(), other_latin(), cyrillic_and_greek()].concat().join("|")
}

/// By class alone.
fn general() -> Vec<String> {
    let letter = format!("{LOWER}{UPPER}");
    let special = format!("{letter}{FRAME}{OPENING}{CLOSING}{CURRENCY}{NUMERIC}{LAW}");
    vec![
        format!("[{C1}]"),
        format!("[{BAD}{special}][{BAD}]"),
        format!("[a-zA-Z][{LOWER_COMMON}{UPPER_COMMON}][{BAD}]"),
        format!("[{BAD}][{special}]"),
        format!("[{LOWER}{LOWER_COMMON}{FRAME}{CLOSING}{CURRENCY}{NUMERIC}][{UPPER}]"),
        format!("[{FRAME}{CLOSING}{CURRENCY}{NUMERIC}][{LOWER}]"),
        format!("[{LOWER}{FRAME}{CLOSING}][{CURRENCY}]"),
        format!(r"[\s\x1c-\x1f][{UPPER}][{CURRENCY}]"),
        format!("[{UPPER}{FRAME}][{NUMERIC}{LAW}]"),
        format!("[{letter}{FRAME}{CURRENCY}{CLOSING}][{OPENING}][{NUMERIC}]"),
        format!("[{letter}{CURRENCY}{NUMERIC}{FRAME}{LAW}][{CLOSING}][{OPENING}]"),
        format!("[{CURRENCY}{NUMERIC}{FRAME}][{OPENING}]"),
        format!("[a-z][{UPPER}][{OPENING}{CURRENCY}]"),
        format!("[{FRAME}][{FACE}]"),
        format!("[{letter}{CURRENCY}{NUMERIC}{OPENING}{CLOSING}{LAW}][{FRAME}]"),
        format!("[{FRAME}][{CLOSING}]"),
        format!(r"[{letter}][{OPENING}{CLOSING}][\p{{L}}\p{{N}}_]"),
        "[Œœ][^A-Za-z]".into(),
        format!("[{UPPER}]°"),
    ]
}

/// UTF-8 read as Windows-1252. Arabic words take four characters, since common ones are among them.
fn windows_1252() -> Vec<String> {
    let arabic = format!("[ØÙ][{COMMON}{CURRENCY}{BAD}{NUMERIC}{OPENING}ŸŠ®°µ»]");
    vec![
        format!("[ÂÃÎÐ][€œŠš¢£Ÿž\u{a0}\u{ad}®©°·»{OPENING}{CLOSING}–—´]"),
        "×[²³]".into(),
        format!("{arabic}{arabic}"),
        "à[²µ¹¼½¾]".into(),
        "Ã[\u{a0}¡]".into(),
        r"[a-z][\s\x1c-\x1f]?[ÃÂ] ".into(),
        "^[ÃÂ] ".into(),
        format!("[a-z.,?!{CLOSING}]Â[ {OPENING}{CLOSING}]"),
    ]
}

/// UTF-8 read as the Macintosh's set or as Windows-1257.
fn other_latin() -> Vec<String> {
    ["√[±∂†≠®™´≤≥¥µø]", "≈[°¢]", "‚Ä[ìîïòôúùû†°¢π]", "‚[âó][àä°ê]", "ā€"].map(String::from).into()
}

/// UTF-8 read as Windows-1251 or as Windows-1253.
fn cyrillic_and_greek() -> Vec<String> {
    let signs = format!("{C1}{BAD}{OPENING}{CLOSING}{CURRENCY}°");
    vec![
        "вЂ".into(),
        format!("[ВГРС][{signs}µ][ВГРС]"),
        "ГўВЂВ.[A-Za-z ]".into(),
        "β€[™\u{a0}Ά\u{ad}®°]".into(),
        format!("[ΒΓΞΟ][{signs}][ΒΓΞΟ]"),
    ]
}
