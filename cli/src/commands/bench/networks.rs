//! What the flags name: networks, lengths, forms of weights.

use wan_benches::{Camera, Form, Length, Networks, Preset};
use wan_model::{LatentError, Strides, WanConfig};
use wan_pipeline::PipelineError;

use super::Teller;
use crate::{
    Failure,
    args::{NetworkArgs, PassArgs},
    engine::{EngineError, matmul_dtype, on_disk},
    media::TemporaryFolder,
    settings::{DtypeChoice, Quant, Size},
};

/// Opened networks, and the folder they were unpacked into if they came out of the binary.
pub struct Opened {
    pub networks: Networks,
    pub config: WanConfig,
    _unpacked: Option<TemporaryFolder>,
}

/// Those of the model or preset that the flags name.
pub fn open(args: &NetworkArgs) -> Result<Opened, Failure> {
    let failed = |error| Failure::from(EngineError::from(PipelineError::from(error)));
    let (networks, unpacked) = match &args.model {
        Some(model) => {
            let (path, unpacked) = on_disk(model)?;
            (Networks::open(&path).map_err(failed)?, unpacked)
        }
        None => (Networks::random(preset(args)), None),
    };
    // An autoencoder alone is no transformer.
    let config = networks.dit_config().unwrap_or_else(|_| preset(args).config());
    Ok(Opened { networks, config, _unpacked: unpacked })
}

/// The preset asked for.
pub fn preset(args: &NetworkArgs) -> Preset {
    args.preset.unwrap_or(Preset::ALL[0])
}

/// The forms of `dtype` and each of `quants`.
pub fn forms(dtype: DtypeChoice, quants: &[Quant], teller: &Teller) -> Result<Vec<Form>, Failure> {
    let dtype = matmul_dtype(dtype, &teller.target, &teller.device)?;
    Ok(quants.iter().map(|quant| Form { dtype, quant: quant.weights() }).collect())
}

/// The lengths asked for, or those of so many tokens.
pub fn lengths(args: &PassArgs, config: &WanConfig, tokens: &[usize]) -> Result<Vec<Length>, Failure> {
    if let Some((Size { width, height }, frames)) = args.size.zip(args.frames) {
        let length = Length::of_video([width, height, frames], config);
        return Ok(vec![length.map_err(|error| illegal(&error))?]);
    }
    let tokens = if args.tokens.is_empty() { tokens } else { &args.tokens };
    Ok(tokens.iter().map(|&tokens| Length::of_tokens(tokens, config)).collect())
}

/// Refuses a video that the strides of a VAE do not allow.
pub fn check_video([width, height, frames]: [usize; 3], strides: Strides) -> Result<(), Failure> {
    strides.latent(1, frames, height, width).map(drop).map_err(|error| illegal(&error))
}

fn illegal(error: &LatentError) -> Failure {
    let hint = match *error {
        LatentError::IllegalFrameCount { below, above, .. } => format!("use --frames {below} or {above}"),
        LatentError::IllegalSize { near_w, near_h, .. } => format!("use --size {near_w}x{near_h}"),
        LatentError::TooLarge { .. } => "use a smaller size or fewer frames".to_owned(),
    };
    Failure::usage(error.to_string(), hint)
}

/// The camera branch as the flags have it.
pub fn camera(args: &PassArgs) -> Camera {
    Camera { off: args.no_camera, kept: args.camera_kept }
}
