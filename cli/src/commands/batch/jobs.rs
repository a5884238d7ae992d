//! Files with one job a line or a table.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use clap::Parser;
use serde::Deserialize;
use serde_json::{Map, Value};
use toml::Spanned;

use crate::{Failure, media::Output, settings::Settings};

/// Largest file of jobs.
const MAX_BYTES: u64 = 64 << 20;
/// Longest name of a clip.
const MAX_NAME: usize = 200;

/// One job, or what is wrong with it.
pub struct Line {
    /// Of the file, from 1.
    pub number: usize,
    /// From 0, among all jobs of the file.
    pub index: usize,
    pub job: Result<Job, Failure>,
}

/// What a line asks for.
pub struct Job {
    /// With the defaults of all jobs.
    pub settings: Settings,
    /// Inside the folder of the clips.
    pub output: PathBuf,
}

/// Reads all jobs of a file.
///
/// # Errors
/// The file cannot be read or is no TOML at all. A single bad job is an error of its own.
pub fn read(path: &Path, defaults: &Settings) -> Result<Vec<Line>, Failure> {
    let text = text(path).map_err(|error| {
        Failure::usage(format!("{}: {error}", path.display()), "give a .jsonl or .toml file, or - for stdin")
    })?;
    let is_toml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    let tables = if is_toml { toml(&text, path)? } else { json_lines(&text) };
    let mut taken = HashMap::new();
    let lines = tables.into_iter().enumerate().map(|(index, (number, table))| {
        let job = table.and_then(|table| job(table, index, defaults));
        Line { number, index, job: job.and_then(|job| claim(&mut taken, job, number)) }
    });
    Ok(lines.collect())
}

fn text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    let source: &mut dyn Read =
        if path == Path::new("-") { &mut io::stdin() } else { &mut File::open(path)? };
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("more than {} MiB are too many for jobs", MAX_BYTES >> 20)));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("the text is not UTF-8"))
}

/// A job's values, or what is wrong with its text, and the line it stands in.
type Table = (usize, Result<Map<String, Value>, Failure>);

fn json_lines(text: &str) -> Vec<Table> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let refused = |error: serde_json::Error| {
        let column = error.column();
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or_default();
        bad(format!("column {column}: {message}"), "write one JSON object with settings on each line")
    };
    lines.map(|(index, line)| (index + 1, serde_json::from_str(line).map_err(refused))).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlFile {
    jobs: Vec<Spanned<toml::Table>>,
}

fn toml(text: &str, path: &Path) -> Result<Vec<Table>, Failure> {
    let hint = "write a table [[jobs]] with settings for each clip";
    let file: TomlFile =
        toml::from_str(text).map_err(|e| Failure::usage(format!("{}: {e}", path.display()), hint))?;
    let each = |table: Spanned<toml::Table>| {
        let number = text[..table.span().start].matches('\n').count() + 1;
        let values = serde_json::to_value(table.into_inner()).and_then(serde_json::from_value);
        (number, values.map_err(|error| bad(error.to_string(), hint)))
    };
    Ok(file.jobs.into_iter().map(each).collect())
}

fn bad(message: impl Into<String>, hint: &str) -> Failure {
    Failure::usage(message, hint)
}

/// The settings of a line and where its clip goes.
fn job(mut table: Map<String, Value>, index: usize, defaults: &Settings) -> Result<Job, Failure> {
    let mut text = |key: &str| match table.remove(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(bad(format!("`{key}` is not a text"), "put it in quotes")),
    };
    let output = output(text("name")?, text("output")?, index)?;
    let settings = settings(table)?.over(defaults).map_err(|e| bad(e.to_string(), "use names in UTF-8"))?;
    Ok(Job { settings, output })
}

/// Each value as the flag of its name, so that both mean the same and are refused alike.
fn settings(table: Map<String, Value>) -> Result<Settings, Failure> {
    let flags = table.into_iter().map(|(key, value)| match value {
        Value::String(text) => Ok(format!("--{key}={text}")),
        Value::Number(number) => Ok(format!("--{key}={number}")),
        _ => Err(bad(format!("`{key}` is neither a text nor a number"), "give one value for each setting")),
    });
    let flags = flags.collect::<Result<Vec<_>, _>>()?;
    Flags::try_parse_from(flags).map(|flags| flags.settings).map_err(|error| refusal(&error))
}

#[derive(Parser)]
#[command(no_binary_name = true, disable_help_flag = true, disable_version_flag = true)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

/// The command line's own words about a setting.
fn refusal(error: &clap::Error) -> Failure {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let message = lines.next().unwrap_or_default().trim_start_matches("error: ");
    let tip = lines.find_map(|line| line.strip_prefix("tip: "));
    bad(message, tip.unwrap_or("`wan batch --help` lists the settings"))
}

/// The clip's path inside the folder.
fn output(name: Option<String>, output: Option<String>, index: usize) -> Result<PathBuf, Failure> {
    let path = match (name, output) {
        (Some(_), Some(_)) => return Err(bad("both `name` and `output` are given", "leave one of them out")),
        (None, None) => PathBuf::from(format!("job-{:04}.mp4", index + 1)),
        (Some(name), None) => named(&name)?,
        (None, Some(path)) => PathBuf::from(path),
    };
    let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
    if !inside || path.as_os_str().is_empty() || path.as_os_str().len() > MAX_NAME {
        let message =
            format!("the clip's path {:?} is no short path inside the output folder", path.display());
        return Err(bad(message, "give a name without `..`, relative to the folder"));
    }
    Output::parse(&path)?;
    Ok(path)
}

/// A name takes `.mp4` unless it says another kind of file.
fn named(name: &str) -> Result<PathBuf, Failure> {
    if name.contains(['/', '\\']) {
        return Err(bad(format!("the name {name:?} holds a separator"), "use `output` for a path"));
    }
    let kinds = [".mp4", ".gif", ".webp", ".png"];
    let known = kinds.iter().any(|kind| name.to_lowercase().ends_with(kind));
    Ok(PathBuf::from(if known { name.to_owned() } else { format!("{name}.mp4") }))
}

/// Refuses a clip that another job makes.
fn claim(taken: &mut HashMap<PathBuf, usize>, job: Job, number: usize) -> Result<Job, Failure> {
    match taken.get(&job.output) {
        Some(line) => {
            let message = format!("{} is also what line {line} makes", job.output.display());
            Err(bad(message, "give each job a name of its own"))
        }
        None => {
            taken.insert(job.output.clone(), number);
            Ok(job)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn lines(name: &str, text: &str) -> Vec<Line> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let defaults = Settings { steps: Some(4), frames: Some(9), ..Settings::default() };
        read(&path, &defaults).unwrap()
    }

    fn message(line: &Line) -> String {
        match &line.job {
            Ok(_) => String::new(),
            Err(failure) => failure.message.clone(),
        }
    }

    #[test]
    fn settings_of_a_line_stand_before_the_defaults() {
        let text = "\u{feff}{\"prompt\": \"a fox\", \"steps\": 8, \"seconds\": 1.5}\n\n{\"name\": \"b.v2\", \"negative\": \"\"}\n";
        let lines = lines("jobs.jsonl", text);
        let first = lines[0].job.as_ref().unwrap();
        assert_eq!((lines[0].number, lines[1].number, lines[1].index), (1, 3, 1));
        assert_eq!(
            (first.settings.steps, first.settings.seconds, first.settings.frames),
            (Some(8), Some(1.5), None)
        );
        assert_eq!(first.output, Path::new("job-0001.mp4"));
        let second = lines[1].job.as_ref().unwrap();
        assert_eq!((second.settings.steps, second.settings.frames), (Some(4), Some(9)));
        assert_eq!(second.settings.negative.as_deref(), Some(""));
        assert_eq!(second.output, Path::new("b.v2.mp4"));
    }

    #[test]
    fn toml_says_the_same() {
        let text = "# clips\n[[jobs]]\nprompt = \"a fox\"\nsteps = 8\n\n[[jobs]]\nname = \"b.gif\"\nshift = 2.5\nsteps = 0\n";
        let lines = lines("jobs.toml", text);
        assert_eq!(lines[0].job.as_ref().unwrap().settings.steps, Some(8));
        assert_eq!(lines[1].number, 6);
        assert!(message(&lines[1]).contains("--steps"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let bad = [
            ("{\"promt\": \"a\"}", "--promt"),
            ("{\"steps\": 0}", "--steps"),
            ("{\"size\": \"64\"}", "--size"),
            ("{\"size\": \"64x64\", \"area\": \"480p\"}", "--size"),
            ("{\"steps\": [1]}", "steps"),
            ("{\"seed\": null}", "seed"),
            ("{\"prompt\": \"a\"", "column"),
            ("[1]", "column"),
            ("{\"name\": \"../a\"}", "../a"),
            ("{\"output\": \"../a.mp4\"}", "../a"),
            ("{\"output\": \"/a.mp4\"}", "/a"),
            ("{\"output\": \"a.mkv\"}", "a.mkv"),
            ("{\"name\": \"x\", \"output\": \"x.gif\"}", "both"),
            ("{\"name\": \"fine\"}", "line 1"),
        ];
        let text: Vec<_> =
            std::iter::once("{\"name\": \"fine\"}").chain(bad.iter().map(|(line, _)| *line)).collect();
        let lines = lines("jobs.jsonl", &text.join("\n"));
        assert_eq!(message(&lines[0]), "");
        for (line, (text, expected)) in lines[1..].iter().zip(bad) {
            let message = message(line);
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn a_flag_cannot_be_smuggled_in() {
        for text in ["{\"overwrite\": \"\"}", "{\"steps=3 --seed\": 1}", "{\"\": \"x\"}", "{\"-o\": \"x\"}"] {
            assert!(lines("jobs.jsonl", text)[0].job.is_err(), "{text}");
        }
    }
}
