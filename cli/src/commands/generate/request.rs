//! From flags to a request: what is refused before any work, and the defaults of the command.

use std::{
    fs::File,
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Read},
    path::Path,
};

use crate::{
    Failure, args::GenerateArgs, config::Defaults, engine::MAX_PROMPT_BYTES, media::Output,
    metadata::Metadata, settings::Settings,
};

/// The settings of the flags, the prompt's file read, over those of the clip to repeat, or else over the defaults of this
/// folder and user.
pub fn given(args: &GenerateArgs, from: Option<&Metadata>) -> Result<Settings, Failure> {
    let mut settings = args.settings.clone();
    if let Some(path) = &args.prompt_file {
        settings.prompt = Some(prompt_of(path)?);
    }
    let base = match from {
        Some(from) => from.settings.clone(),
        None => Defaults::read()?.under(&Settings::default())?,
    };
    let hint = "rename it";
    settings.over(&base).map_err(|e| Failure::usage(format!("a name of a file or folder: {e}"), hint))
}

/// Refuses single components that are no whole model, and paths that are not there.
pub fn check_inputs(settings: &mut Settings) -> Result<(), Failure> {
    let alone = settings.dit.is_some() && settings.vae.is_some() && settings.text_encoder.is_some();
    if settings.model().is_none() && !alone {
        let hint =
            "give a checkpoint folder with --model DIR, or --dit, --vae, --text-encoder and --tokenizer";
        return Err(Failure::usage("no model given", hint));
    }
    for (flag, path) in settings.paths() {
        if !path.exists() {
            let message = format!("--{flag} {} does not exist", path.display());
            return Err(Failure::usage(message, "give the path of a local file or folder"));
        }
    }
    Ok(())
}

/// Refuses a file where the folder of `--dump` should be.
pub fn check_dump(dump: Option<&Path>) -> Result<(), Failure> {
    match dump {
        Some(path) if path.exists() && !path.is_dir() => {
            Err(Failure::usage(format!("--dump {} is not a folder", path.display()), "name a folder"))
        }
        _ => Ok(()),
    }
}

/// Refuses a run without a prompt, and texts far longer than the text encoder reads.
pub fn check_prompts(settings: &Settings) -> Result<(), Failure> {
    check_length("--negative", settings.negative.as_deref().unwrap_or_default())?;
    let hint = "say with --prompt TEXT or --prompt-file FILE what the video shows";
    let prompt = settings.prompt.as_deref().ok_or_else(|| Failure::usage("no prompt given", hint))?;
    check_length("--prompt", prompt)
}

/// The prompt in a file, without its last line break.
fn prompt_of(path: &Path) -> Result<String, Failure> {
    let flag = format!("--prompt-file {}", path.display());
    let text = read_text(path)
        .map_err(|e| Failure::usage(format!("{flag}: {e}"), "give a UTF-8 text file, or use --prompt"))?;
    check_length(&flag, &text)?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// The file's text, cut somewhere past the length of a prompt.
fn read_text(path: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_PROMPT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_PROMPT_BYTES {
        return Ok(String::from_utf8_lossy(&bytes).into_owned());
    }
    String::from_utf8(bytes).map_err(io::Error::other)
}

fn check_length(flag: &str, text: &str) -> Result<(), Failure> {
    if text.len() <= MAX_PROMPT_BYTES {
        return Ok(());
    }
    let message = format!("{flag}: the text has more than {MAX_PROMPT_BYTES} bytes");
    Err(Failure::usage(message, "shorten it; the text encoder reads about the first 500 words"))
}

/// The output of the flag, or `wan-<seed>.mp4`.
pub fn output(args: &GenerateArgs, seed: u64) -> Result<Output, Failure> {
    let path = args.output.clone().unwrap_or_else(|| format!("wan-{seed}.mp4"));
    Ok(Output::parse(Path::new(&path))?)
}

/// 32 random bits: short in file names, exact in every JSON reader.
pub fn random_seed() -> u64 {
    RandomState::new().build_hasher().finish() >> 32
}
