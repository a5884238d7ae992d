//! `wan runs`: what was left, and its removal.

use std::{collections::BTreeSet, path::PathBuf};

use indicatif::{HumanBytes, HumanDuration};
use serde::Serialize;

use super::{print, print_json};
use crate::{
    Failure,
    args::{RunsArgs, RunsCommand, RunsRmArgs},
    engine::runs::{self, Header, Limits, Listed, RunError},
    media::{Output, sweep},
};

/// Characters of a prompt that are shown.
const PROMPT: usize = 48;

/// Names of runs that were removed, and their bytes.
type Gone = Vec<(String, u64)>;

/// A run as JSON.
#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    folder: String,
    saved: Option<&'a str>,
    started: Option<&'a str>,
    prompt: Option<&'a str>,
    output: Option<String>,
    phase: Option<&'static str>,
    step: Option<usize>,
    steps: Option<usize>,
    bytes: u64,
    resumable: bool,
    /// Why not.
    obstacle: Option<String>,
}

/// Lists runs, or removes some.
pub fn run(args: &RunsArgs) -> Result<(), Failure> {
    match &args.command {
        None => list(args.json),
        Some(RunsCommand::Rm(rm)) => {
            let (gone, places) = remove(rm)?;
            removed(args.json, gone, places)
        }
        Some(RunsCommand::Prune(limits)) => {
            let usual = Limits::default();
            let runs = limits.keep.unwrap_or(usual.runs);
            let limits = Limits { runs, bytes: limits.max_size.unwrap_or(usual.bytes) };
            let places = places(&runs::list());
            removed(args.json, runs::prune(limits)?, places)
        }
    }
}

fn list(json: bool) -> Result<(), Failure> {
    let found = runs::list();
    let rows: Vec<_> = found.iter().map(row).collect();
    if json {
        return print_json(&serde_json::json!({ "runs": rows }));
    }
    if rows.is_empty() {
        return print("no runs");
    }
    let lines = found.iter().zip(&rows).map(|(run, row)| line(run, row));
    print(&lines.collect::<Vec<_>>().join("\n"))
}

fn row(run: &Listed) -> Row<'_> {
    let (header, obstacle) = (run.header.as_ref().ok(), run.obstacle());
    Row {
        id: &run.id,
        folder: run.folder.display().to_string(),
        saved: header.map(|header| header.saved.as_str()),
        started: header.map(|header| header.started.as_str()),
        prompt: header.and_then(|header| header.settings.prompt.as_deref()),
        output: header.map(|header| header.output.display().to_string()),
        phase: header.map(phase),
        step: header.map(|header| header.step),
        steps: header.map(|header| header.steps),
        bytes: run.bytes,
        resumable: obstacle.is_none(),
        obstacle,
    }
}

/// What comes next.
fn phase(header: &Header) -> &'static str {
    match header {
        Header { encoded: false, .. } => "text",
        Header { step, steps, .. } if step == steps => "decode",
        _ => "denoise",
    }
}

fn line(run: &Listed, row: &Row<'_>) -> String {
    let Row { id, obstacle, .. } = row;
    let bytes = HumanBytes(run.bytes).to_string();
    let state = match (row.phase, row.step, row.steps) {
        (Some(phase), Some(step), Some(steps)) => {
            format!("{phase:7} {step:>3}/{steps:<3} {} ago", HumanDuration(run.age()))
        }
        _ => "-".to_owned(),
    };
    let prompt = row.prompt.unwrap_or_default();
    let cut = prompt.char_indices().nth(PROMPT).map_or(prompt.len(), |(at, _)| at);
    let dots = if cut < prompt.len() { "..." } else { "" };
    let obstacle = obstacle.as_ref().map(|why| format!("  [{why}]")).unwrap_or_default();
    format!("{id}  {state}  {bytes}  {}{dots}{obstacle}", &prompt[..cut])
}

/// Folders in which these runs may have left what they had not finished.
fn places<'a>(runs: impl IntoIterator<Item = &'a Listed>) -> BTreeSet<PathBuf> {
    let headers = runs.into_iter().filter_map(|run| run.header.as_ref().ok());
    let outputs = headers.filter_map(|header| Output::parse(&header.folder.join(&header.output)).ok());
    outputs.flat_map(|output| output.folders()).chain([std::env::temp_dir()]).collect()
}

fn remove(args: &RunsRmArgs) -> Result<(Gone, BTreeSet<PathBuf>), Failure> {
    let found = runs::list();
    for name in &args.runs {
        if !found.iter().any(|run| run.id == *name) {
            return Err(RunError::Unknown { name: name.clone() }.into());
        }
    }
    let named = |run: &Listed| args.runs.contains(&run.id);
    let old = |run: &Listed| args.older_than.is_some_and(|time| run.age() > time);
    let chosen = |run: &&Listed| named(run) || (!run.busy && (args.all || old(run)));
    let chosen: Vec<_> = found.iter().filter(chosen).collect();
    chosen.iter().try_for_each(|run| runs::discard(&run.folder))?;
    let gone = chosen.iter().map(|run| (run.id.clone(), run.bytes)).collect();
    Ok((gone, places(chosen)))
}

/// Says which runs went, after what killed ones left in these folders went too.
fn removed(json: bool, gone: Gone, places: BTreeSet<PathBuf>) -> Result<(), Failure> {
    let bytes: u64 = gone.iter().map(|(_, bytes)| bytes).sum();
    let left: Vec<_> = places.iter().flat_map(|folder| sweep(folder)).collect();
    if json {
        let ids: Vec<_> = gone.into_iter().map(|(id, _)| id).collect();
        let left: Vec<_> = left
            .iter()
            .map(|(path, bytes)| serde_json::json!({ "path": path.display().to_string(), "bytes": bytes }))
            .collect();
        return print_json(&serde_json::json!({ "removed": ids, "bytes": bytes, "leftovers": left }));
    }
    let runs = if gone.len() == 1 { "run" } else { "runs" };
    let mut lines = vec![format!("{} {runs} removed, {}", gone.len(), HumanBytes(bytes))];
    let line = |(path, bytes): &(PathBuf, u64)| {
        format!("{}: left by a killed run, removed, {}", path.display(), HumanBytes(*bytes))
    };
    lines.extend(left.iter().map(line));
    print(&lines.join("\n"))
}
