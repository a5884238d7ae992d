//! The upper halves of the eight-bit character sets that text is most often misread in.
//!
//! A position that a Windows code page leaves free stands for the C1 control of the same number, as in Latin-1.

/// Characters of the bytes 0x80 to 0xff, one string per row of sixteen.
pub(super) type UpperHalf = [&'static str; 8];

pub(super) const WINDOWS_1252: UpperHalf = [
    "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}",
    "\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ",
    "\u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯",
    "°±²³´µ¶·¸¹º»¼½¾¿",
    "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏ",
    "ÐÑÒÓÔÕÖ×ØÙÚÛÜÝÞß",
    "àáâãäåæçèéêëìíîï",
    "ðñòóôõö÷øùúûüýþÿ",
];

pub(super) const WINDOWS_1251: UpperHalf = [
    "ЂЃ‚ѓ„…†‡€‰Љ‹ЊЌЋЏ",
    "ђ‘’“”•–—\u{98}™љ›њќћџ",
    "\u{a0}ЎўЈ¤Ґ¦§Ё©Є«¬\u{ad}®Ї",
    "°±Ііґµ¶·ё№є»јЅѕї",
    "АБВГДЕЖЗИЙКЛМНОП",
    "РСТУФХЦЧШЩЪЫЬЭЮЯ",
    "абвгдежзийклмноп",
    "рстуфхцчшщъыьэюя",
];

pub(super) const WINDOWS_1250: UpperHalf = [
    "€\u{81}‚\u{83}„…†‡\u{88}‰Š‹ŚŤŽŹ",
    "\u{90}‘’“”•–—\u{98}™š›śťžź",
    "\u{a0}ˇ˘Ł¤Ą¦§¨©Ş«¬\u{ad}®Ż",
    "°±˛ł´µ¶·¸ąş»Ľ˝ľż",
    "ŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎ",
    "ĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢß",
    "ŕáâăäĺćçčéęëěíîď",
    "đńňóôőö÷řůúűüýţ˙",
];

pub(super) const WINDOWS_1253: UpperHalf = [
    "€\u{81}‚ƒ„…†‡\u{88}‰\u{8a}‹\u{8c}\u{8d}\u{8e}\u{8f}",
    "\u{90}‘’“”•–—\u{98}™\u{9a}›\u{9c}\u{9d}\u{9e}\u{9f}",
    "\u{a0}΅Ά£¤¥¦§¨©ª«¬\u{ad}®―",
    "°±²³΄µ¶·ΈΉΊ»Ό½ΎΏ",
    "ΐΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟ",
    "ΠΡÒΣΤΥΦΧΨΩΪΫάέήί",
    "ΰαβγδεζηθικλμνξο",
    "πρςστυφχψωϊϋόύώÿ",
];

pub(super) const WINDOWS_1254: UpperHalf = [
    "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}\u{8e}\u{8f}",
    "\u{90}‘’“”•–—˜™š›œ\u{9d}\u{9e}Ÿ",
    "\u{a0}¡¢£¤¥¦§¨©ª«¬\u{ad}®¯",
    "°±²³´µ¶·¸¹º»¼½¾¿",
    "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏ",
    "ĞÑÒÓÔÕÖ×ØÙÚÛÜİŞß",
    "àáâãäåæçèéêëìíîï",
    "ğñòóôõö÷øùúûüışÿ",
];

pub(super) const WINDOWS_1257: UpperHalf = [
    "€\u{81}‚\u{83}„…†‡\u{88}‰\u{8a}‹\u{8c}¨ˇ¸",
    "\u{90}‘’“”•–—\u{98}™\u{9a}›\u{9c}¯˛\u{9f}",
    "\u{a0}¡¢£¤¥¦§Ø©Ŗ«¬\u{ad}®Æ",
    "°±²³´µ¶·ø¹ŗ»¼½¾æ",
    "ĄĮĀĆÄÅĘĒČÉŹĖĢĶĪĻ",
    "ŠŃŅÓŌÕÖ×ŲŁŚŪÜŻŽß",
    "ąįāćäåęēčéźėģķīļ",
    "šńņóōõö÷ųłśūüżž˙",
];

pub(super) const ISO_8859_2: UpperHalf = [
    "\u{80}\u{81}\u{82}\u{83}\u{84}\u{85}\u{86}\u{87}\u{88}\u{89}\u{8a}\u{8b}\u{8c}\u{8d}\u{8e}\u{8f}",
    "\u{90}\u{91}\u{92}\u{93}\u{94}\u{95}\u{96}\u{97}\u{98}\u{99}\u{9a}\u{9b}\u{9c}\u{9d}\u{9e}\u{9f}",
    "\u{a0}Ą˘Ł¤ĽŚ§¨ŠŞŤŹ\u{ad}ŽŻ",
    "°ą˛ł´ľśˇ¸šşťź˝žż",
    "ŔÁÂĂÄĹĆÇČÉĘËĚÍÎĎ",
    "ĐŃŇÓÔŐÖ×ŘŮÚŰÜÝŢß",
    "ŕáâăäĺćçčéęëěíîď",
    "đńňóôőö÷řůúűüýţ˙",
];

pub(super) const MACROMAN: UpperHalf = [
    "ÄÅÇÉÑÖÜáàâäãåçéè",
    "êëíìîïñóòôöõúùûü",
    "†°¢£§•¶ß®©™´¨≠ÆØ",
    "∞±≤≥¥µ∂∑∏π∫ªºΩæø",
    "¿¡¬√ƒ≈∆«»…\u{a0}ÀÃÕŒœ",
    "–—“”‘’÷◊ÿŸ⁄€‹›ﬁﬂ",
    "‡·‚„‰ÂÊÁËÈÍÎÏÌÓÔ",
    "\u{f8ff}ÒÚÛÙıˆ˜¯˘˙˚¸˝˛ˇ",
];

pub(super) const CP437: UpperHalf = [
    "ÇüéâäàåçêëèïîìÄÅ",
    "ÉæÆôöòûùÿÖÜ¢£¥₧ƒ",
    "áíóúñÑªº¿⌐¬½¼¡«»",
    "░▒▓│┤╡╢╖╕╣║╗╝╜╛┐",
    "└┴┬├─┼╞╟╚╔╩╦╠═╬╧",
    "╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀",
    "αßΓπΣσµτΦΘΩδ∞φε∩",
    "≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}",
];

/// The eight-bit sets in the order in which a misreading is looked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum CodePage {
    Latin1,
    /// A Windows set whose free positions are kept, and whose byte 0x1a stands for a replacement character.
    Sloppy(&'static UpperHalf),
    /// A set without free positions.
    Full(&'static UpperHalf),
    /// As `Full`; its dash before a space looks like a damaged sequence, so no such repair is tried in it.
    Macroman,
}

impl CodePage {
    pub(super) const ALL: [Self; 10] = [
        Self::Latin1,
        Self::Sloppy(&WINDOWS_1252),
        Self::Sloppy(&WINDOWS_1251),
        Self::Sloppy(&WINDOWS_1250),
        Self::Sloppy(&WINDOWS_1253),
        Self::Sloppy(&WINDOWS_1254),
        Self::Sloppy(&WINDOWS_1257),
        Self::Full(&ISO_8859_2),
        Self::Macroman,
        Self::Full(&CP437),
    ];

    /// The sets whose misreadings are looked for within otherwise sound text.
    pub(super) fn common() -> &'static [Self] {
        &Self::ALL[..7]
    }

    pub(super) fn is_sloppy(self) -> bool {
        matches!(self, Self::Sloppy(_))
    }

    /// The bytes this text was read from, if it can have been read in this set.
    pub(super) fn encode(self, text: &str) -> Option<Vec<u8>> {
        text.chars().map(|c| self.byte(c)).collect()
    }

    fn byte(self, c: char) -> Option<u8> {
        match c {
            '\u{fffd}' if self.is_sloppy() => Some(0x1a),
            '\x1a' if self.is_sloppy() => None,
            '\0'..='\x7f' => Some(c as u8),
            _ => match self {
                Self::Latin1 => u8::try_from(c).ok(),
                Self::Sloppy(upper) | Self::Full(upper) => byte(upper, c),
                Self::Macroman => byte(&MACROMAN, c),
            },
        }
    }

    /// The character of a byte from 0x80 on.
    pub(super) fn character(self, byte: u8) -> char {
        match self {
            Self::Latin1 => byte.into(),
            Self::Sloppy(upper) | Self::Full(upper) => character(upper, byte),
            Self::Macroman => character(&MACROMAN, byte),
        }
    }
}

/// The character of a byte from 0x80 on.
pub(super) fn character(upper: &UpperHalf, byte: u8) -> char {
    let position = usize::from(byte & 0x7f);
    upper[position / 16].chars().nth(position % 16).unwrap_or(char::from(byte))
}

fn byte(upper: &UpperHalf, c: char) -> Option<u8> {
    let position = upper.iter().flat_map(|row| row.chars()).position(|other| other == c)?;
    Some(0x80 + position as u8)
}

/// C1 controls as the Windows-1252 characters of the same number.
pub(super) fn repair_c1_controls(text: &str) -> String {
    let repaired = |c| match c {
        '\u{80}'..='\u{9f}' => character(&WINDOWS_1252, c as u8),
        _ => c,
    };
    text.chars().map(repaired).collect()
}
