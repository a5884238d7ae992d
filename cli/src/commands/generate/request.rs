//! From flags to a request: what is refused before any work, and the defaults of the command.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    path::{Path, PathBuf},
};

use crate::{
    Failure,
    args::{GenerateArgs, Offload, Quant},
    devices::Target,
    engine::Request,
    media::Output,
};

/// Refuses values that the contract names and this version does not offer.
pub fn check_available(args: &GenerateArgs) -> Result<(), Failure> {
    if args.quant != Quant::None {
        let name = format!("{:?}", args.quant).to_lowercase();
        return Err(Failure::usage(
            format!("--quant {name} is not available yet"),
            "use --quant none, or --dtype f16",
        ));
    }
    if matches!(args.offload, Offload::Model | Offload::Block) {
        let name = format!("{:?}", args.offload).to_lowercase();
        return Err(Failure::usage(format!("--offload {name} is not available yet"), "use --offload auto"));
    }
    Ok(())
}

/// Refuses a request without weights, and paths that are not there.
pub fn check_inputs(args: &GenerateArgs) -> Result<(), Failure> {
    let alone = args.dit.is_some() && args.vae.is_some() && args.text_encoder.is_some();
    if args.model.is_none() && !alone {
        let hint =
            "give a checkpoint folder with --model DIR, or --dit, --vae, --text-encoder and --tokenizer";
        return Err(Failure::usage("no model given", hint));
    }
    must_exist("--model", &args.model)?;
    must_exist("--dit", &args.dit)?;
    must_exist("--vae", &args.vae)?;
    must_exist("--text-encoder", &args.text_encoder)?;
    must_exist("--tokenizer", &args.tokenizer)?;
    must_exist("--noise", &args.noise)?;
    match &args.dump {
        Some(path) if path.exists() && !path.is_dir() => {
            Err(Failure::usage(format!("--dump {} is not a folder", path.display()), "name a folder"))
        }
        _ => Ok(()),
    }
}

fn must_exist(flag: &str, path: &Option<PathBuf>) -> Result<(), Failure> {
    match path {
        Some(path) if !path.exists() => {
            let message = format!("{flag} {} does not exist", path.display());
            Err(Failure::usage(message, "give the path of a local file or folder"))
        }
        _ => Ok(()),
    }
}

/// The prompt of the flag or the file, without the file's last line break.
pub fn prompt(args: &GenerateArgs) -> Result<String, Failure> {
    let Some(path) = &args.prompt_file else { return Ok(args.prompt.clone().unwrap_or_default()) };
    let text = std::fs::read_to_string(path).map_err(|e| {
        Failure::usage(
            format!("--prompt-file {}: {e}", path.display()),
            "give a UTF-8 text file, or use --prompt",
        )
    })?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
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

/// The engine's request.
pub fn build(args: &GenerateArgs, prompt: String, seed: u64, device: Target) -> Request {
    Request {
        model: args.model.clone(),
        dit: args.dit.clone(),
        vae: args.vae.clone(),
        text_encoder: args.text_encoder.clone(),
        tokenizer: args.tokenizer.clone(),
        prompt,
        negative: args.negative.clone(),
        size: args.size,
        frames: args.frames,
        seconds: args.seconds,
        fps: args.fps,
        steps: args.steps,
        solver: args.solver,
        shift: args.shift,
        guidance: args.guidance,
        schedule: args.schedule,
        seed,
        noise: args.noise.clone(),
        device,
        dtype: args.dtype,
        dump: args.dump.clone(),
    }
}
