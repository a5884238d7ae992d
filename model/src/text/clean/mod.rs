//! Prompt cleaning, equal to the reference's: repair by ftfy's rules, HTML references, whitespace.

mod badness;
mod codepages;
mod entities;
mod mojibake;
mod repair;

/// The text as the text encoder's tokenizer expects it: `ftfy.fix_text` (6.3, default settings), `html.unescape`
/// twice, and every run of whitespace one space.
///
/// Equal to the Python functions, except where Unicode versions disagree about normalization or letters.
pub fn clean(prompt: &str) -> String {
    let text = repair::repair(prompt);
    let text = entities::unescape_html(&entities::unescape_html(&text));
    text.split(is_space).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whitespace in Python's sense, which counts the four separators of ASCII.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}
