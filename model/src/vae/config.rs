//! Widths, stages and latent statistics of a video VAE.

/// The shape of a causal video VAE with 8-fold (in general `2^(stages - 1)`-fold) spatial compression.
#[derive(Clone, Debug, PartialEq)]
pub struct VaeConfig {
    /// Channels of the first encoder stage and the last decoder stage.
    pub base_dim: usize,
    /// Channels of the latents.
    pub z_dim: usize,
    /// Width of each stage in units of `base_dim`, in the encoder's order.
    pub dim_mult: Vec<usize>,
    /// Residual blocks per encoder stage; decoder stages have one more.
    pub num_res_blocks: usize,
    /// Whether the step after each stage but the last halves time as well, in the encoder's order.
    pub temporal_down: Vec<bool>,
    /// Mean of each latent channel over the training set.
    pub latents_mean: Vec<f32>,
    /// Standard deviation of each latent channel over the training set.
    pub latents_std: Vec<f32>,
}

/// A [`VaeConfig`] whose parts contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VaeConfigError {
    #[error("{name} has {found} entries instead of {expected}")]
    Length { name: &'static str, expected: usize, found: usize },
    #[error("{name} must be above zero")]
    Zero { name: &'static str },
    #[error("a decoder stage of {width} channels cannot be halved")]
    OddWidth { width: usize },
}

impl VaeConfig {
    /// Wan 2.1, used by Wan 2.1 and by the 14B models of Wan 2.2.
    /// <https://github.com/Wan-Video/Wan2.1/blob/main/wan/modules/vae.py>
    pub fn wan_2_1() -> Self {
        Self {
            base_dim: 96,
            z_dim: 16,
            dim_mult: vec![1, 2, 4, 4],
            num_res_blocks: 2,
            temporal_down: vec![false, true, true],
            latents_mean: vec![
                -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517,
                -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
            ],
            latents_std: vec![
                2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652,
                1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
            ],
        }
    }

    /// Pixels per latent pixel along height and width.
    pub fn spatial_factor(&self) -> usize {
        1 << self.dim_mult.len().saturating_sub(1)
    }

    /// Frames per latent frame after the first, which always holds one.
    pub fn temporal_factor(&self) -> usize {
        1 << self.temporal_down.iter().filter(|&&down| down).count()
    }

    /// Latent frames of a video of `frames` frames; incomplete groups at the end are dropped.
    pub fn latent_frames(&self, frames: usize) -> usize {
        frames.saturating_sub(1) / self.temporal_factor() + frames.min(1)
    }

    /// Frames decoded from `latent_frames` latent frames.
    pub fn frames(&self, latent_frames: usize) -> usize {
        latent_frames.saturating_sub(1) * self.temporal_factor() + latent_frames.min(1)
    }

    /// Whether the parts fit together.
    pub fn validate(&self) -> Result<(), VaeConfigError> {
        for (name, value) in
            [("base_dim", self.base_dim), ("z_dim", self.z_dim), ("dim_mult", self.dim_mult.len())]
        {
            if value == 0 {
                return Err(VaeConfigError::Zero { name });
            }
        }
        if self.dim_mult.contains(&0) {
            return Err(VaeConfigError::Zero { name: "dim_mult" });
        }
        check_length("temporal_down", self.dim_mult.len() - 1, self.temporal_down.len())?;
        check_length("latents_mean", self.z_dim, self.latents_mean.len())?;
        check_length("latents_std", self.z_dim, self.latents_std.len())?;
        match self.dim_mult[1..].iter().map(|m| m * self.base_dim).find(|width| width % 2 == 1) {
            Some(width) => Err(VaeConfigError::OddWidth { width }),
            None => Ok(()),
        }
    }

    /// Channels going into and out of each encoder stage.
    pub(super) fn encoder_stages(&self) -> Vec<(usize, usize)> {
        let outputs = self.dim_mult.iter().map(|m| m * self.base_dim);
        std::iter::once(self.base_dim).chain(outputs.clone()).zip(outputs).collect()
    }

    /// Channels going into and out of each decoder stage: an upsampling step halves the width.
    pub(super) fn decoder_stages(&self) -> Vec<(usize, usize)> {
        let outputs = self.dim_mult.iter().rev().map(|m| m * self.base_dim);
        let inputs = std::iter::once(self.widest()).chain(outputs.clone().map(|width| width / 2));
        inputs.zip(outputs).collect()
    }

    /// Channels of the middle block.
    pub(super) fn widest(&self) -> usize {
        self.dim_mult.last().map_or(0, |m| m * self.base_dim)
    }
}

fn check_length(name: &'static str, expected: usize, found: usize) -> Result<(), VaeConfigError> {
    if found == expected { Ok(()) } else { Err(VaeConfigError::Length { name, expected, found }) }
}
