//! Dimensions of the video autoencoder.

use serde_json::json;

use super::{Settings, Shapes};
use crate::{ImportError, KeyTable, Naming, TensorSource};

/// Mean of each latent channel, from the authors' code.
const LATENTS_MEAN: [f32; 16] = [
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, //
    0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
];
/// Standard deviation of each latent channel, from the authors' code.
const LATENTS_STD: [f32; 16] = [
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, //
    3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
];

/// What it takes to build the Wan 2.1 autoencoder.
#[derive(Clone, Debug, PartialEq)]
pub struct VaeDims {
    /// Channels after the first convolution.
    pub base_dim: usize,
    /// Latent channels.
    pub z_dim: usize,
    /// Channels of each encoder stage; the decoder runs through them backwards.
    pub widths: Vec<usize>,
    /// Residual blocks of an encoder stage; a decoder stage has one more.
    pub num_res_blocks: usize,
    /// Whether the downsampling after stage i halves time as well; one entry fewer than `widths`.
    pub temporal: Vec<bool>,
    /// Mean of each latent channel.
    pub latents_mean: Vec<f32>,
    /// Standard deviation of each latent channel.
    pub latents_std: Vec<f32>,
}

impl VaeDims {
    pub(crate) fn infer(
        source: &dyn TensorSource,
        naming: Naming,
        settings: &Settings,
    ) -> Result<Self, ImportError> {
        let keys = KeyTable::vae_encoder(naming);
        let shapes = Shapes { source, keys: &keys };
        let [base_dim, ..] = shapes.get::<5>("conv_in.weight")?;
        let [moments, ..] = shapes.get::<5>("quant_conv.weight")?;
        let Stages { widths, num_res_blocks, temporal } = Stages::read(&shapes)?;
        let z_dim = moments / 2;
        let (latents_mean, latents_std) = statistics(z_dim, settings)?;
        let dims = Self { base_dim, z_dim, widths, num_res_blocks, temporal, latents_mean, latents_std };
        dims.check_decoder(source, naming)?;
        dims.check_settings(settings)?;
        Ok(dims)
    }

    /// The decoder must double time where the encoder halves it.
    fn check_decoder(&self, source: &dyn TensorSource, naming: Naming) -> Result<(), ImportError> {
        let keys = KeyTable::vae_decoder(naming, self.num_res_blocks);
        let shapes = Shapes { source, keys: &keys };
        let stride = self.num_res_blocks + 2;
        for (stage, &temporal) in self.temporal.iter().rev().enumerate() {
            let path = format!("up.{}.time_conv.weight", stage * stride + stride - 1);
            if shapes.has(&path) != temporal {
                let fault =
                    format!("stage {stage} of the decoder does not mirror the encoder's time strides");
                return Err(unfit(source, fault));
            }
        }
        Ok(())
    }

    fn check_settings(&self, settings: &Settings) -> Result<(), ImportError> {
        settings.agree(&["base_dim"], self.base_dim)?;
        settings.agree(&["z_dim"], self.z_dim)?;
        settings.agree(&["num_res_blocks"], self.num_res_blocks)?;
        // The library's own spelling.
        settings.agree_value("temperal_downsample", &json!(self.temporal))?;
        if self.widths.iter().all(|width| width % self.base_dim == 0) {
            let multiples: Vec<_> = self.widths.iter().map(|width| width / self.base_dim).collect();
            settings.agree_value("dim_mult", &json!(multiples))?;
        }
        Ok(())
    }
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
    if z_dim == LATENTS_MEAN.len() {
        return Ok((LATENTS_MEAN.to_vec(), LATENTS_STD.to_vec()));
    }
    let detail = format!("no latents_mean and latents_std are given for {z_dim} latent channels");
    Err(ImportError::config(settings.path, detail))
}

fn unfit(source: &dyn TensorSource, evidence: String) -> ImportError {
    ImportError::Unrecognised { path: source.path().to_owned(), evidence: vec![evidence] }
}
