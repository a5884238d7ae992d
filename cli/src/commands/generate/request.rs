//! From flags to a request: what is refused before any work, and the defaults of the command.

use std::{
    fs::File,
    hash::{BuildHasher, Hasher, RandomState},
    io::{self, Read},
    path::Path,
};

use crate::{
    Failure,
    args::GenerateArgs,
    devices::Target,
    engine::{MAX_PROMPT_BYTES, ModelPath, Request},
    media::Output,
};

/// Refuses single components that are no whole model, and paths that are not there.
pub fn check_inputs(args: &GenerateArgs) -> Result<(), Failure> {
    let alone = args.dit.is_some() && args.vae.is_some() && args.text_encoder.is_some();
    if model(args).is_none() && !alone {
        let hint =
            "give a checkpoint folder with --model DIR, or --dit, --vae, --text-encoder and --tokenizer";
        return Err(Failure::usage("no model given", hint));
    }
    if let Some(ModelPath::Folder(path)) = &args.model {
        must_exist("--model", Some(path))?;
    }
    must_exist("--dit", args.dit.as_deref())?;
    must_exist("--dit-high", args.dit_high.as_deref())?;
    must_exist("--vae", args.vae.as_deref())?;
    must_exist("--text-encoder", args.text_encoder.as_deref())?;
    must_exist("--image-encoder", args.image_encoder.as_deref())?;
    must_exist("--tokenizer", args.tokenizer.as_deref())?;
    must_exist("--image", args.image.as_deref())?;
    must_exist("--last-image", args.last_image.as_deref())?;
    must_exist("--camera", args.camera.as_deref())?;
    must_exist("--noise", args.noise.as_deref())?;
    match &args.dump {
        Some(path) if path.exists() && !path.is_dir() => {
            Err(Failure::usage(format!("--dump {} is not a folder", path.display()), "name a folder"))
        }
        _ => Ok(()),
    }
}

fn must_exist(flag: &str, path: Option<&Path>) -> Result<(), Failure> {
    match path {
        Some(path) if !path.exists() => {
            let message = format!("{flag} {} does not exist", path.display());
            Err(Failure::usage(message, "give the path of a local file or folder"))
        }
        _ => Ok(()),
    }
}

/// The prompt of the flag or the file, without the file's last line break. Refuses texts far longer than the text
/// encoder reads.
pub fn prompt(args: &GenerateArgs) -> Result<String, Failure> {
    check_length("--negative", args.negative.as_deref().unwrap_or_default())?;
    let Some(path) = &args.prompt_file else {
        let text = args.prompt.clone().unwrap_or_default();
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

/// The model of the flag; the built-in one if no component is named either and this build has it.
pub fn model(args: &GenerateArgs) -> Option<ModelPath> {
    let parts =
        [&args.dit, &args.dit_high, &args.vae, &args.text_encoder, &args.image_encoder, &args.tokenizer];
    let none = parts.iter().all(|part| part.is_none());
    args.model.clone().or((none && cfg!(feature = "demo")).then_some(ModelPath::Demo))
}

/// The engine's request.
pub fn build(args: &GenerateArgs, prompt: String, seed: u64, device: Target) -> Request {
    Request {
        model: model(args),
        task: args.task,
        dit: args.dit.clone(),
        dit_high: args.dit_high.clone(),
        vae: args.vae.clone(),
        text_encoder: args.text_encoder.clone(),
        image_encoder: args.image_encoder.clone(),
        tokenizer: args.tokenizer.clone(),
        prompt,
        negative: args.negative.clone(),
        image: args.image.clone(),
        last_image: args.last_image.clone(),
        camera: args.camera.clone(),
        size: args.size,
        area: args.area,
        frames: args.frames,
        seconds: args.seconds,
        fps: args.fps,
        steps: args.steps,
        solver: args.solver,
        shift: args.shift,
        guidance: args.guidance,
        guidance_high: args.guidance_high,
        boundary: args.boundary,
        schedule: args.schedule,
        seed,
        noise: args.noise.clone(),
        device,
        dtype: args.dtype,
        quant: args.quant,
        offload: args.offload,
        vae_dtype: args.vae_dtype,
        dump: args.dump.clone(),
    }
}
