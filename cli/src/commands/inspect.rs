//! `wan inspect`: what a checkpoint is, and how a clip was made.

use std::path::Path;

use serde_json::Value;

use super::{print, print_json};
use crate::{
    CancelToken, Failure,
    args::InspectArgs,
    engine::{self, ModelPath},
    interrupt,
    metadata::{self, Metadata},
    progress::Progress,
};

/// Prints the description of a checkpoint or a clip.
pub fn run(args: &InspectArgs, quiet: bool, leave: fn()) -> Result<(), Failure> {
    if let ModelPath::Folder(path) = &args.path
        && metadata::is_clip(path)
    {
        return show(&clip(path)?, args.json);
    }
    if let ModelPath::Folder(path) = &args.path
        && !path.exists()
    {
        let message = format!("{} does not exist", path.display());
        return Err(Failure::usage(message, "give a checkpoint folder or file, or a clip"));
    }
    if args.verify {
        let (cancel, mut progress) = (CancelToken::default(), Progress::new(quiet));
        interrupt::install(&cancel, leave)?;
        engine::convert::verify(&args.path, &cancel, &mut |done, total| {
            progress.bytes("verify", done, total)
        })?;
    }
    show(&engine::inspect(&args.path)?, args.json)
}

fn show(description: &Value, json: bool) -> Result<(), Failure> {
    if json { print_json(description) } else { print(outline(description, 0).trim_end()) }
}

/// What a clip says about itself.
fn clip(path: &Path) -> Result<Value, Failure> {
    let metadata = Metadata::of(path)?;
    let mut description = metadata.to_json().map_err(|e| Failure::failed(e.to_string()))?;
    description["what"] = format!("a clip that wan {} made", metadata.wan).into();
    description["path"] = path.to_string_lossy().into();
    Ok(description)
}

/// Keys and values, one a line, indented by nesting.
fn outline(value: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    let line = |key: &str, value: &Value| match value {
        Value::Object(_) => format!("{indent}{key}:\n{}", outline(value, depth + 1)),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            format!("{indent}{key}:\n{}", outline(value, depth + 1))
        }
        _ => format!("{indent}{key}: {}\n", scalar(value)),
    };
    match value {
        Value::Object(map) => map.iter().map(|(key, value)| line(key, value)).collect(),
        Value::Array(items) => items.iter().map(|item| line("-", item)).collect(),
        _ => format!("{indent}{}\n", scalar(value)),
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(scalar).collect::<Vec<_>>().join(", "),
        _ => value.to_string(),
    }
}
