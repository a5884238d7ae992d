//! Flags of `wan config`, `wan completions` and `wan man`.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

use crate::settings::Settings;

const CONFIG_EXAMPLE: &str = "\
Examples:
  wan config
      every default that is set, and where
  WAN_STEPS=20 wan config --json

Of a flag, its variable (WAN_STEPS for --steps), ./wan.toml and the user's wan.toml, the first one wins; what none
of them sets the model decides. A wan.toml has one line for each setting, named as the flag: steps = 20. WAN_CONFIG
names another file to be read instead of both, or, if empty, none.";

#[derive(Args, Debug)]
#[command(after_help = CONFIG_EXAMPLE)]
pub struct ConfigArgs {
    #[command(flatten)]
    pub settings: Settings,
    /// Print one JSON object
    #[arg(long, help_heading = "Output")]
    pub json: bool,
}

const COMPLETIONS_EXAMPLE: &str = "\
Example:
  wan completions bash > ~/.local/share/bash-completion/completions/wan
  wan completions zsh > ~/.zfunc/_wan
  wan completions fish > ~/.config/fish/completions/wan.fish";

#[derive(Args, Debug)]
#[command(after_help = COMPLETIONS_EXAMPLE)]
pub struct CompletionsArgs {
    #[arg(value_enum)]
    pub shell: Shell,
}

#[derive(Args, Debug)]
#[command(after_help = "Example:\n  wan man ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Folder for the pages, one for each command
    pub dir: PathBuf,
}
