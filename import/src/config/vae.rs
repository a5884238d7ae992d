//! The configuration of the video autoencoder.

use serde_json::json;
use wan_model::VaeConfig;

use super::{Settings, Shapes, unfit};
use crate::{ImportError, KeyTable, Naming, TensorSource};

/// The autoencoder that the shapes of `source` and `settings` describe, refused if they contradict each other.
pub(crate) fn vae(
    source: &dyn TensorSource,
    naming: Naming,
    settings: &Settings,
) -> Result<VaeConfig, ImportError> {
    let keys = KeyTable::vae_encoder(naming);
    let shapes = Shapes { source, keys: &keys };
    let [base_dim, ..] = shapes.get::<5>("conv_in.weight")?;
    let [moments, ..] = shapes.get::<5>("quant_conv.weight")?;
    let Stages { widths, num_res_blocks, temporal } = Stages::read(&shapes)?;
    if widths.iter().any(|width| width % base_dim != 0) {
        return Err(unfit(source, format!("stages of {widths:?} channels, no multiples of {base_dim}")));
    }
    let z_dim = moments / 2;
    let (latents_mean, latents_std) = statistics(z_dim, settings)?;
    let config = VaeConfig {
        dim_mult: widths.iter().map(|width| width / base_dim).collect(),
        base_dim,
        z_dim,
        num_res_blocks,
        temporal_down: temporal,
        latents_mean,
        latents_std,
    };
    config.validate().map_err(|error| unfit(source, error.to_string()))?;
    check_decoder(&config, source, naming)?;
    check_settings(&config, settings)?;
    Ok(config)
}

/// The decoder must double time where the encoder halves it.
fn check_decoder(config: &VaeConfig, source: &dyn TensorSource, naming: Naming) -> Result<(), ImportError> {
    let keys = KeyTable::vae_decoder(naming, config.num_res_blocks);
    let shapes = Shapes { source, keys: &keys };
    let stride = config.num_res_blocks + 2;
    for (stage, &temporal) in config.temporal_down.iter().rev().enumerate() {
        let path = format!("up.{}.time_conv.weight", stage * stride + stride - 1);
        if shapes.has(&path) != temporal {
            let fault = format!("stage {stage} of the decoder does not mirror the encoder's time strides");
            return Err(unfit(source, fault));
        }
    }
    Ok(())
}

fn check_settings(config: &VaeConfig, settings: &Settings) -> Result<(), ImportError> {
    settings.agree(&["base_dim"], config.base_dim)?;
    settings.agree(&["z_dim"], config.z_dim)?;
    settings.agree(&["num_res_blocks"], config.num_res_blocks)?;
    // The library's own spelling.
    settings.agree_value("temperal_downsample", &json!(config.temporal_down))?;
    settings.agree_value("dim_mult", &json!(config.dim_mult))
}

/// The encoder's stages, read off its flat run of blocks.
struct Stages {
    widths: Vec<usize>,
    num_res_blocks: usize,
    temporal: Vec<bool>,
}

impl Stages {
    fn read(shapes: &Shapes) -> Result<Self, ImportError> {
        let (mut widths, mut temporal, mut blocks) = (Vec::new(), Vec::new(), vec![0]);
        for n in 0.. {
            if shapes.has(&format!("down.{n}.norm1.gamma")) {
                let [width, ..] = shapes.get::<5>(&format!("down.{n}.conv1.weight"))?;
                widths.truncate(blocks.len() - 1);
                widths.push(width);
                blocks[temporal.len()] += 1;
            } else if shapes.has(&format!("down.{n}.resample.weight")) {
                temporal.push(shapes.has(&format!("down.{n}.time_conv.weight")));
                blocks.push(0);
            } else {
                break;
            }
        }
        let num_res_blocks = blocks[0];
        if num_res_blocks == 0 || blocks.iter().any(|&n| n != num_res_blocks) {
            return Err(unfit(shapes.source, format!("encoder stages of {blocks:?} residual blocks")));
        }
        Ok(Self { widths, num_res_blocks, temporal })
    }
}

fn statistics(z_dim: usize, settings: &Settings) -> Result<(Vec<f32>, Vec<f32>), ImportError> {
    let given = settings.numbers("latents_mean", z_dim)?.zip(settings.numbers("latents_std", z_dim)?);
    if let Some((mean, std)) = given {
        if std.iter().all(|&s| s > 0.0) {
            return Ok((mean, std));
        }
        return Err(ImportError::config(settings.path, "latents_std holds a value that is not positive"));
    }
    let released = VaeConfig::wan_2_1();
    if z_dim == released.z_dim {
        return Ok((released.latents_mean, released.latents_std));
    }
    let detail = format!("no latents_mean and latents_std are given for {z_dim} latent channels");
    Err(ImportError::config(settings.path, detail))
}
