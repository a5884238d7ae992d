//! Pictures inside a terminal, for those that can: kitty's protocol, iTerm2's, and sixels.

use std::sync::OnceLock;

use data_encoding::BASE64;
use image::RgbImage;

use super::{sixel::sixel, terminal::draws_sixels};

/// How a terminal takes a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inline {
    /// <https://sw.kovidgoyal.net/kitty/graphics-protocol/>
    Kitty,
    /// <https://iterm2.com/documentation-images.html>
    Iterm,
    /// <https://vt100.net/docs/vt3xx-gp/chapter14.html>
    Sixel,
}

/// Most characters of a piece in kitty's protocol.
const PIECE: usize = 4096;

impl Inline {
    /// What this process's terminal understands: by its name, or by its answer.
    pub fn of_terminal() -> Option<Self> {
        static FOUND: OnceLock<Option<Inline>> = OnceLock::new();
        let named = || Self::of(|name| std::env::var(name).ok());
        *FOUND.get_or_init(|| named().or_else(|| draws_sixels().then_some(Self::Sixel)))
    }

    /// What the terminal of these environment variables understands. None inside of multiplexers, which have the names of
    /// the terminal around them and do not pass its pictures on.
    fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let is = |name: &str, values: &[&str]| {
            variable(name).is_some_and(|found| values.contains(&found.as_str()))
        };
        if ["TMUX", "STY"].iter().any(|name| variable(name).is_some()) {
            return None;
        }
        let kitty = variable("KITTY_WINDOW_ID").is_some()
            || is("TERM", &["xterm-kitty", "xterm-ghostty"])
            || is("TERM_PROGRAM", &["ghostty"]);
        let iterm = is("TERM_PROGRAM", &["iTerm.app", "WezTerm", "vscode"]) || is("LC_TERMINAL", &["iTerm2"]);
        let sixel = is("TERM", &["foot", "foot-extra", "mlterm", "contour", "yaft-256color"]);
        let known = [(kitty, Self::Kitty), (iterm, Self::Iterm), (sixel, Self::Sixel)];
        known.into_iter().find(|(is, _)| *is).map(|(_, inline)| inline)
    }

    /// The characters that show a picture, also given as a PNG file, where the cursor is.
    pub fn show(self, picture: &RgbImage, png: &[u8]) -> String {
        let text = || BASE64.encode(png);
        match self {
            Self::Iterm => format!("\x1b]1337;File=inline=1;size={}:{}\x07\n", png.len(), text()),
            Self::Kitty => kitty(&text()) + "\n",
            Self::Sixel => sixel(picture) + "\n",
        }
    }
}

/// In pieces, of which all but the last say that more will come.
fn kitty(text: &str) -> String {
    let count = text.len().div_ceil(PIECE);
    let piece = |(index, part): (usize, &[u8])| {
        let head = if index == 0 { "f=100,a=T,q=2," } else { "" };
        let more = u8::from(index + 1 < count);
        format!("\x1b_G{head}m={more};{}\x1b\\", String::from_utf8_lossy(part))
    };
    text.as_bytes().chunks(PIECE).enumerate().map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Option<Inline> {
        Inline::of(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
        })
    }

    #[test]
    fn terminals_are_known_by_their_variables() {
        assert_eq!(of(&[("TERM", "xterm-256color")]), None);
        assert_eq!(of(&[("TERM", "xterm-kitty")]), Some(Inline::Kitty));
        assert_eq!(of(&[("TERM_PROGRAM", "iTerm.app")]), Some(Inline::Iterm));
        assert_eq!(of(&[("TERM", "foot")]), Some(Inline::Sixel));
        assert_eq!(of(&[("TERM", "xterm-kitty"), ("TMUX", "/tmp/tmux")]), None);
    }

    #[test]
    fn kitty_takes_pieces_and_iterm_the_whole() {
        let picture = RgbImage::new(1, 1);
        let shown = Inline::Kitty.show(&picture, &[7; 4000]);
        assert_eq!(shown.matches("\x1b_G").count(), 2);
        assert!(shown.starts_with("\x1b_Gf=100,a=T,q=2,m=1;") && shown.contains("\x1b\\\x1b_Gm=0;"));
        assert_eq!(Inline::Iterm.show(&picture, b"png"), "\x1b]1337;File=inline=1;size=3:cG5n\x07\n");
        assert_eq!(Inline::Kitty.show(&picture, b"png"), "\x1b_Gf=100,a=T,q=2,m=0;cG5n\x1b\\\n");
    }
}
