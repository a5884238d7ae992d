//! Pictures inside a terminal, for those that can: kitty's protocol and iTerm2's.

use data_encoding::BASE64;

/// How a terminal takes a PNG file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inline {
    /// <https://sw.kovidgoyal.net/kitty/graphics-protocol/>
    Kitty,
    /// <https://iterm2.com/documentation-images.html>
    Iterm,
}

/// Most characters of a piece in kitty's protocol.
const PIECE: usize = 4096;

impl Inline {
    /// What the terminal of these environment variables understands. Nothing inside of multiplexers, which do not pass
    /// it on.
    pub fn of(variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
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
        if kitty { Some(Self::Kitty) } else { iterm.then_some(Self::Iterm) }
    }

    /// The characters that show a PNG file where the cursor is.
    pub fn show(self, png: &[u8]) -> String {
        let text = BASE64.encode(png);
        match self {
            Self::Iterm => format!("\x1b]1337;File=inline=1;size={}:{text}\x07\n", png.len()),
            Self::Kitty => kitty(&text) + "\n",
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
        assert_eq!(of(&[("TERM", "xterm-kitty"), ("TMUX", "/tmp/tmux")]), None);
    }

    #[test]
    fn kitty_takes_pieces_and_iterm_the_whole() {
        let shown = Inline::Kitty.show(&[7; 4000]);
        assert_eq!(shown.matches("\x1b_G").count(), 2);
        assert!(shown.starts_with("\x1b_Gf=100,a=T,q=2,m=1;") && shown.contains("\x1b\\\x1b_Gm=0;"));
        assert_eq!(Inline::Iterm.show(b"png"), "\x1b]1337;File=inline=1;size=3:cG5n\x07\n");
        assert_eq!(Inline::Kitty.show(b"png"), "\x1b_Gf=100,a=T,q=2,m=0;cG5n\x1b\\\n");
    }
}
