//! Defaults of the settings: from the environment, from `wan.toml` in this folder, and from the user's.

use std::{
    fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use clap::{CommandFactory, FromArgMatches, Parser};
use etcetera::BaseStrategy;
use serde::Deserialize;

use crate::{Failure, engine::ModelPath, settings::Settings};

/// Name of the file, here and in the user's folder.
const NAME: &str = "wan.toml";
/// Names a file to be read instead of both; empty for none.
const VARIABLE: &str = "WAN_CONFIG";
/// Longest file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Where a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Variable(String),
    File(PathBuf),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Settings of one place.
#[derive(Clone, Debug)]
pub struct Layer {
    pub origin: Origin,
    pub settings: Settings,
}

/// The defaults of this folder and user, those that win first.
#[derive(Clone, Debug)]
pub struct Defaults(pub Vec<Layer>);

impl Defaults {
    /// Reads variables and files.
    ///
    /// # Errors
    /// A variable or a file that says what no flag takes, and a file of `WAN_CONFIG` that is not there.
    pub fn read() -> Result<Self, Failure> {
        let mut layers = variables(|name| std::env::var(name).ok())?;
        for path in files()? {
            tracing::info!("settings of {}", path.display());
            layers.push(file(&path)?);
        }
        Ok(Self(layers))
    }

    /// `given`, and what of the defaults is not given.
    ///
    /// # Errors
    /// A path that is no UTF-8.
    pub fn under(&self, given: &Settings) -> Result<Settings, Failure> {
        let over = |settings: Settings, layer: &Layer| settings.over(&layer.settings);
        self.0
            .iter()
            .try_fold(given.clone(), over)
            .map_err(|error| Failure::failed(format!("settings: {error}")))
    }
}

/// Only to have the flags' own parsers read texts.
#[derive(Parser)]
#[command(no_binary_name = true)]
struct Alone {
    #[command(flatten)]
    settings: Settings,
}

/// Each setting's name, and that of its variable: `vae-dtype` and `WAN_VAE_DTYPE`.
fn names() -> Vec<(String, String)> {
    let command = Alone::command();
    let longs = command.get_arguments().filter_map(|arg| arg.get_long()).filter(|long| *long != "help");
    longs.map(|long| (long.to_owned(), format!("WAN_{}", long.to_uppercase().replace('-', "_")))).collect()
}

/// A layer for each variable that is set.
fn variables(value: impl Fn(&str) -> Option<String>) -> Result<Vec<Layer>, Failure> {
    let set = names().into_iter().filter_map(|(flag, name)| {
        let value = value(&name).filter(|value| !value.is_empty())?;
        Some((flag, name, value))
    });
    let layer = |(flag, name, value): (String, String, String)| {
        let parsed = Alone::command().try_get_matches_from([format!("--{flag}={value}")]);
        let parsed = parsed.and_then(|matches| Alone::from_arg_matches(&matches));
        let Alone { settings } = parsed.map_err(|error| {
            let text = error.render().to_string();
            let text = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            Failure::usage(
                format!("{name}: {text}"),
                format!("what --{flag} takes says `wan generate --help`"),
            )
        })?;
        Ok(Layer { origin: Origin::Variable(name), settings })
    };
    set.map(layer).collect()
}

/// The files that are there.
fn files() -> Result<Vec<PathBuf>, Failure> {
    match std::env::var_os(VARIABLE) {
        Some(path) if path.is_empty() => Ok(Vec::new()),
        Some(path) if Path::new(&path).is_file() => Ok(vec![path.into()]),
        Some(path) => {
            let message = format!("{VARIABLE}: there is no file {}", Path::new(&path).display());
            Err(Failure::usage(message, "name a TOML file, or nothing to use none"))
        }
        None => {
            Ok([Some(NAME.into()), users()].into_iter().flatten().filter(|path| path.is_file()).collect())
        }
    }
}

/// The user's file, whether it is there or not.
pub fn users() -> Option<PathBuf> {
    Some(etcetera::choose_base_strategy().ok()?.config_dir().join("wan").join(NAME))
}

/// The settings of a file, whose paths begin in its folder.
pub(crate) fn file(path: &Path) -> Result<Layer, Failure> {
    let refuse = |detail: &str| {
        let message = format!("{}: {detail}", path.display());
        Failure::usage(message, "its keys and values are those of `wan generate`'s flags, as in steps = 30")
    };
    let mut text = String::new();
    let opened = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text));
    opened.map_err(|error| refuse(&error.to_string()))?;
    if text.len() as u64 > MAX_BYTES {
        return Err(refuse(&format!("longer than {MAX_BYTES} bytes")));
    }
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| refuse(error.to_string().trim_end()))?;
    let names = names();
    if let Some(key) = table.keys().find(|key| names.iter().all(|(name, _)| name != *key)) {
        return Err(unknown(path, key, &names));
    }
    let settings = Settings::deserialize(table).map_err(|error| refuse(error.to_string().trim_end()))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok(Layer { origin: Origin::File(path.to_owned()), settings: based(settings, folder) })
}

fn unknown(path: &Path, key: &str, names: &[(String, String)]) -> Failure {
    let nearest = names.iter().map(|(name, _)| (strsim::jaro_winkler(name, key), name));
    let nearest = nearest.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(likeness, _)| *likeness > 0.8);
    let hint = match nearest {
        Some((_, name)) => format!("is `{name}` meant?"),
        None => "`wan generate --help` names all settings".to_owned(),
    };
    Failure::usage(format!("{}: there is no setting `{key}`", path.display()), hint)
}

fn based(mut settings: Settings, folder: &Path) -> Settings {
    for (_, path) in settings.paths() {
        if path.is_relative() {
            *path = folder.join(&*path);
        }
    }
    if let Some(ModelPath::Hub(id)) = &settings.model {
        // What looks like a name on the hub from here may be a folder beside the file.
        let beside = folder.join(id.to_string());
        if beside.exists() {
            settings.model = Some(ModelPath::Folder(beside));
        }
    }
    settings
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn write(folder: &Path, text: &str) -> PathBuf {
        let path = folder.join(NAME);
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn variables_win_over_files_and_flags_over_both() {
        let folder = tempfile::tempdir().unwrap();
        let path = write(
            folder.path(),
            "steps = 7\nshift = 3\nsize = \"64x32\"\nimage = \"a.png\"\nnegative = \"\"\n",
        );
        let set = |name: &str| (name == "WAN_STEPS").then(|| "9".to_owned());
        let mut layers = variables(set).unwrap();
        assert_eq!(layers[0].origin, Origin::Variable("WAN_STEPS".into()));
        layers.push(file(&path).unwrap());
        let given = Settings { shift: Some(5.0), area: "480p".parse().ok(), ..Settings::default() };
        let all = Defaults(layers).under(&given).unwrap();
        assert_eq!((all.steps, all.shift, all.size), (Some(9), Some(5.0), None));
        assert_eq!(all.image, Some(folder.path().join("a.png")));
        assert_eq!(all.negative.as_deref(), Some(""));
    }

    #[test]
    fn what_no_flag_takes_is_refused_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        for (text, message, hint) in [
            ("stepps = 3", "no setting `stepps`", "`steps`"),
            ("xyz = 3", "no setting `xyz`", "--help"),
            ("steps = \"many\"", "wan.toml", "steps = 30"),
            ("steps = 3\nsteps = 4", "wan.toml", "steps = 30"),
            ("solver = \"ddim\"", "wan.toml", "steps = 30"),
            ("= 3", "wan.toml", "steps = 30"),
        ] {
            let failure = file(&write(folder.path(), text)).unwrap_err();
            assert!(failure.message.contains(message), "{failure}");
            assert!(failure.hint.as_ref().is_some_and(|found| found.contains(hint)), "{failure}");
        }
        let failure = variables(|name| (name == "WAN_DEVICE").then(|| "toaster".to_owned())).unwrap_err();
        assert!(
            failure.message.starts_with("WAN_DEVICE: ") && failure.message.contains("toaster"),
            "{failure}"
        );
    }
}
