//! Flags of pictures of a video under way.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{Args, ValueEnum};

use crate::engine::PreviewRequest;

#[derive(Args, Clone, Debug, Default)]
pub struct PreviewArgs {
    /// After every N steps, show the video so far as OUTPUT.preview.png, and in terminals that draw pictures
    #[arg(long, value_name = "N", help_heading = "Output")]
    preview: Option<NonZeroUsize>,
    /// Weights of a tiny decoder (TAEHV: taew2_1, taew2_2) for sharper previews
    #[arg(long, value_name = "FILE", requires = "preview", help_heading = "Output")]
    tae: Option<PathBuf>,
    /// How this terminal draws previews [default: auto]
    #[arg(long, value_enum, value_name = "HOW", requires = "preview", help_heading = "Output")]
    inline: Option<InlineChoice>,
}

/// The `--inline` flag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum InlineChoice {
    /// by the terminal's name, or else by what it answers
    #[default]
    Auto,
    /// kitty's protocol
    Kitty,
    /// iTerm2's protocol
    Iterm,
    /// sixels
    Sixel,
    /// not at all
    None,
}

impl PreviewArgs {
    pub fn request(&self) -> Option<PreviewRequest> {
        self.preview.map(|every| PreviewRequest { every, tae: self.tae.clone() })
    }

    pub fn inline(&self) -> InlineChoice {
        self.inline.unwrap_or_default()
    }
}
