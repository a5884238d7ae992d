//! `wan config`, `wan completions`, `wan man`: what surrounds the program.

use std::io;

use clap::CommandFactory;
use serde_json::{Map, Value, json};

use super::{print, print_json};
use crate::{
    Failure,
    args::{Cli, CompletionsArgs, ConfigArgs, ManArgs},
    config::{Defaults, users},
    progress::Progress,
};

/// Prints every setting that has a default here, and where that comes from.
pub fn run(args: &ConfigArgs, quiet: bool) -> Result<(), Failure> {
    let defaults = Defaults::read()?;
    let effective = defaults.under(&args.settings)?;
    let failed = |error: serde_json::Error| Failure::failed(format!("settings: {error}"));
    let given = args.settings.to_map().map_err(failed)?;
    let mut layers = vec![("flag".to_owned(), given)];
    for layer in &defaults.0 {
        layers.push((layer.origin.to_string(), layer.settings.to_map().map_err(failed)?));
    }
    let from =
        |name: &str| layers.iter().find(|(_, map)| map.contains_key(name)).map(|(origin, _)| origin.as_str());
    let all = effective.to_map().map_err(failed)?;
    if args.json {
        let all = all.iter().map(|(name, value)| (name.clone(), json!({"value": value, "from": from(name)})));
        return print_json(&all.collect::<Map<_, _>>());
    }
    if all.is_empty() {
        let place = users().map(|path| format!(" or {}", path.display())).unwrap_or_default();
        Progress::new(quiet)
            .line(&format!("no defaults are set; ./wan.toml{place} would set them, as in steps = 30"));
        return Ok(());
    }
    let line =
        |(name, value): (&String, &Value)| format!("{name} = {value}  # {}", from(name).unwrap_or_default());
    print(&all.iter().map(line).collect::<Vec<_>>().join("\n"))
}

/// Prints a shell's completions.
pub fn completions(args: &CompletionsArgs) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "wan", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())
}

/// Writes a page for each command, and prints their folder.
pub fn man(args: &ManArgs) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        std::fs::create_dir_all(&args.dir)?;
        clap_mangen::generate_to(Cli::command(), &args.dir)
    };
    write().map_err(|error| Failure {
        hint: Some("name a folder that can be written to".to_owned()),
        ..Failure::failed(format!("writing to {}: {error}", args.dir.display()))
    })?;
    print(&args.dir.display().to_string())
}
