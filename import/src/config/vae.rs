//! The configuration of the video autoencoder.

use serde_json::json;
use wan_model::VaeConfig;

use super::{Settings, Shapes, unfit};
use crate::{ImportError, KeyTable, Naming, TensorSource, VaeStages};

/// Residual blocks per stage that are accepted; Wan has two.
const MAX_RES_BLOCKS: usize = 16;

/// The autoencoder that the shapes of `source` and `settings` describe, refused if they contradict each other.
/// `residual`: whether it is of Wan 2.2's kind.
pub(crate) fn vae(
    source: &dyn TensorSource,
    naming: Naming,
    residual: bool,
    settings: &Settings,
) -> Result<VaeConfig, ImportError> {
    let keys = KeyTable::vae_encoder(naming, VaeStages { residual, res_blocks: MAX_RES_BLOCKS });
    let res_blocks = Shapes { source, keys: &keys }.count("down.#.norm1.gamma");
    if res_blocks > MAX_RES_BLOCKS {
        return Err(unfit(source, format!("an encoder stage of {res_blocks} residual blocks")));
    }
    let stages = VaeStages { residual, res_blocks };
    let keys = KeyTable::vae_encoder(naming, stages);
    let shapes = Shapes { source, keys: &keys };
    let [base_dim, channels, ..] = shapes.get::<5>("conv_in.weight")?;
    let [moments, ..] = shapes.get::<5>("quant_conv.weight")?;
    let Stages { widths, num_res_blocks, temporal } = Stages::read(&shapes)?;
    let dim_mult = multiples(&widths, base_dim, source)?;
    let z_dim = moments / 2;
    let (latents_mean, latents_std) = statistics(z_dim, residual, settings)?;
    let config = VaeConfig {
        decoder_base_dim: decoder_base_dim(&dim_mult, source, naming, stages)?.filter(|&dim| dim != base_dim),
        dim_mult,
        base_dim,
        z_dim,
        num_res_blocks,
        temporal_down: temporal,
        residual,
        patch_size: patch_size(channels, source)?,
        latents_mean,
        latents_std,
    };
    config.validate().map_err(|error| unfit(source, error.to_string()))?;
    check_decoder(&config, source, naming)?;
    check_settings(&config, settings)?;
    Ok(config)
}

fn multiples(
    widths: &[usize],
    base_dim: usize,
    source: &dyn TensorSource,
) -> Result<Vec<usize>, ImportError> {
    if widths.iter().any(|width| width % base_dim != 0) {
        return Err(unfit(source, format!("stages of {widths:?} channels, no multiples of {base_dim}")));
    }
    Ok(widths.iter().map(|width| width / base_dim).collect())
}

/// The unit of the decoder's widths, whose first stage is as many of it wide as the encoder's last one is of its own.
fn decoder_base_dim(
    dim_mult: &[usize],
    source: &dyn TensorSource,
    naming: Naming,
    stages: VaeStages,
) -> Result<Option<usize>, ImportError> {
    let keys = KeyTable::vae_decoder(naming, stages);
    let [widest, ..] = Shapes { source, keys: &keys }.get::<5>("conv_in.weight")?;
    let Some(&last) = dim_mult.last() else { return Ok(None) };
    if widest % last != 0 {
        return Err(unfit(source, format!("a decoder of {widest} channels, no multiple of {last}")));
    }
    Ok(Some(widest / last))
}

/// Side of the squares of pixels that become the channels of one.
fn patch_size(channels: usize, source: &dyn TensorSource) -> Result<usize, ImportError> {
    let side = (channels / 3).isqrt();
    if 3 * side * side != channels {
        return Err(unfit(source, format!("an encoder of {channels} channels, no squares of RGB pixels")));
    }
    Ok(side)
}

/// The decoder must double time where the encoder halves it.
fn check_decoder(config: &VaeConfig, source: &dyn TensorSource, naming: Naming) -> Result<(), ImportError> {
    let keys = KeyTable::vae_decoder(naming, config.into());
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
    let pixel_channels = 3 * config.patch_size * config.patch_size;
    for (name, value) in [
        ("base_dim", config.base_dim),
        ("decoder_base_dim", config.decoder_base_dim.unwrap_or(config.base_dim)),
        ("z_dim", config.z_dim),
        ("num_res_blocks", config.num_res_blocks),
        ("patch_size", config.patch_size),
        ("in_channels", pixel_channels),
        ("out_channels", pixel_channels),
        ("scale_factor_spatial", config.spatial_factor()),
        ("scale_factor_temporal", config.temporal_factor()),
    ] {
        settings.agree(&[name], value)?;
    }
    settings.agree_value("is_residual", &json!(config.residual))?;
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

fn statistics(
    z_dim: usize,
    residual: bool,
    settings: &Settings,
) -> Result<(Vec<f32>, Vec<f32>), ImportError> {
    let given = settings.numbers("latents_mean", z_dim)?.zip(settings.numbers("latents_std", z_dim)?);
    if let Some((mean, std)) = given {
        if std.iter().all(|&s| s > 0.0) {
            return Ok((mean, std));
        }
        return Err(ImportError::config(settings.path, "latents_std holds a value that is not positive"));
    }
    let released = if residual { VaeConfig::wan_2_2() } else { VaeConfig::wan_2_1() };
    if z_dim == released.z_dim {
        return Ok((released.latents_mean, released.latents_std));
    }
    let detail = format!("no latents_mean and latents_std are given for {z_dim} latent channels");
    Err(ImportError::config(settings.path, detail))
}
