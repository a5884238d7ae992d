//! From flags to a request: what is refused before any work, and the defaults of the command.

use std::{
    fs::File,
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Read},
    path::Path,
};

use crate::{Failure, args::GenerateArgs, engine::MAX_PROMPT_BYTES, media::Output, settings::Settings};

/// Refuses single components that are no whole model, and paths that are not there.
pub fn check_inputs(settings: &mut Settings, dump: Option<&Path>) -> Result<(), Failure> {
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
    match dump {
        Some(path) if path.exists() && !path.is_dir() => {
            Err(Failure::usage(format!("--dump {} is not a folder", path.display()), "name a folder"))
        }
        _ => Ok(()),
    }
}

/// The prompt of the settings or the file, without the file's last line break. Refuses texts far longer than the text
/// encoder reads.
pub fn prompt(settings: &Settings, file: Option<&Path>) -> Result<String, Failure> {
    check_length("--negative", settings.negative.as_deref().unwrap_or_default())?;
    let Some(path) = file else {
        let text = settings.prompt.clone();
        let text = text.ok_or_else(|| {
            Failure::usage(
                "no prompt given",
                "say with --prompt TEXT or --prompt-file FILE what the video shows",
            )
        })?;
        return check_length("--prompt", &text).map(|()| text);
    };
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
