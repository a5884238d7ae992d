//! Widths, stages and latent statistics of a video VAE.

/// Frames before its own that a causal convolution over three frames sees.
pub(super) const CONV_MEMORY: usize = 2;

/// The shape of a causal video VAE.
#[derive(Clone, Debug, PartialEq)]
pub struct VaeConfig {
    /// Channels of the first encoder stage and, unless it has its own width, of the last decoder stage.
    pub base_dim: usize,
    /// Channels of the last decoder stage, if not `base_dim`.
    pub decoder_base_dim: Option<usize>,
    /// Channels of the latents.
    pub z_dim: usize,
    /// Width of each stage in units of `base_dim`, in the encoder's order.
    pub dim_mult: Vec<usize>,
    /// Residual blocks per encoder stage; decoder stages have one more.
    pub num_res_blocks: usize,
    /// Whether the step after each stage but the last halves time as well, in the encoder's order.
    pub temporal_down: Vec<bool>,
    /// Whether a shortcut without parameters leads around each stage. If so, upsampling keeps the width, which it
    /// halves otherwise.
    pub residual: bool,
    /// Side of the squares of pixels that the networks see as the channels of one pixel.
    pub patch_size: usize,
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
    #[error("no shortcut leads from {inputs} to {outputs} channels around a step of {factor} to 1")]
    Shortcut { inputs: usize, outputs: usize, factor: usize },
}

/// Residual blocks and the step behind them.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub inputs: usize,
    pub outputs: usize,
    /// Whether the step changes time as well as height and width; the last stage has no step.
    pub temporal_step: Option<bool>,
}

impl Stage {
    /// By how much the stage changes time, and height and width.
    pub fn factors(&self) -> [usize; 2] {
        match self.temporal_step {
            Some(temporal) => [1 + usize::from(temporal), 2],
            None => [1, 1],
        }
    }

    /// Positions that the stage makes one, or one position becomes.
    pub fn factor(&self) -> usize {
        let [frames, side] = self.factors();
        frames * side * side
    }
}

impl VaeConfig {
    /// Wan 2.1, used by Wan 2.1 and by the 14B models of Wan 2.2.
    /// <https://github.com/Wan-Video/Wan2.1/blob/main/wan/modules/vae.py>
    pub fn wan_2_1() -> Self {
        Self {
            base_dim: 96,
            decoder_base_dim: None,
            z_dim: 16,
            dim_mult: vec![1, 2, 4, 4],
            num_res_blocks: 2,
            temporal_down: vec![false, true, true],
            residual: false,
            patch_size: 1,
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

    /// Wan 2.2, used by the 5B model.
    /// <https://github.com/Wan-Video/Wan2.2/blob/main/wan/modules/vae2_2.py>
    pub fn wan_2_2() -> Self {
        Self {
            base_dim: 160,
            decoder_base_dim: Some(256),
            z_dim: 48,
            residual: true,
            patch_size: 2,
            latents_mean: vec![
                -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813,
                0.0891, 0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108,
                -0.2158, 0.2502, -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230,
                -0.0313, -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433,
                -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
            ],
            latents_std: vec![
                0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894,
                1.0901, 0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146,
                0.8986, 0.5659, 0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709,
                0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537,
                0.5444, 0.4089, 0.7468, 0.7744,
            ],
            ..Self::wan_2_1()
        }
    }

    /// Pixels per latent pixel along height and width.
    pub fn spatial_factor(&self) -> usize {
        self.patch_size << self.dim_mult.len().saturating_sub(1)
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

    /// The first latent frame that is no longer touched by the first frame of a video: where every other frame is the
    /// same, this latent frame and all after it are equal, and so is what the encoder remembers behind each of them.
    pub fn encoder_memory(&self) -> usize {
        let blocks = 2 * CONV_MEMORY * self.num_res_blocks;
        let middle = 2 * 2 * CONV_MEMORY;
        // Frame 1 is the first constant one, at the rate of pixels; each halving of time looks at two more frames.
        let settled = self.temporal_down.iter().fold(1 + CONV_MEMORY, |frame, &down| {
            let frame = frame + blocks;
            if down { frame.div_ceil(2) + 1 } else { frame }
        });
        settled + blocks + middle + CONV_MEMORY
    }

    /// Bytes of the largest tensor of either network on frames of `[rows, columns]` latent pixels, worked on one by one:
    /// the two frames that a convolution of the widest stage looks back at.
    pub fn largest_tensor_bytes(&self, [rows, columns]: [usize; 2]) -> u64 {
        let widest = |stages: &mut dyn Iterator<Item = Stage>| {
            let sides = stages.enumerate().map(|(n, stage)| stage.inputs.max(stage.outputs) << (2 * n));
            sides.max().unwrap_or(0)
        };
        let decoder = widest(&mut self.decoder_stages().into_iter());
        let elements = widest(&mut self.encoder_stages().into_iter().rev()).max(decoder) * rows * columns;
        (CONV_MEMORY * elements * size_of::<f32>()) as u64
    }

    /// Whether the parts fit together.
    pub fn validate(&self) -> Result<(), VaeConfigError> {
        let counts = [
            ("base_dim", self.base_dim),
            ("decoder_base_dim", self.decoder_width()),
            ("z_dim", self.z_dim),
            ("num_res_blocks", self.num_res_blocks),
            ("patch_size", self.patch_size),
            ("dim_mult", self.dim_mult.len()),
            ("dim_mult", self.dim_mult.iter().copied().min().unwrap_or(0)),
        ];
        if let Some((name, _)) = counts.into_iter().find(|&(_, count)| count == 0) {
            return Err(VaeConfigError::Zero { name });
        }
        check_length("temporal_down", self.dim_mult.len() - 1, self.temporal_down.len())?;
        check_length("latents_mean", self.z_dim, self.latents_mean.len())?;
        check_length("latents_std", self.z_dim, self.latents_std.len())?;
        if self.residual { self.check_shortcuts() } else { self.check_halves() }
    }

    fn check_halves(&self) -> Result<(), VaeConfigError> {
        let mut widths = self.dim_mult[1..].iter().map(|m| m * self.decoder_width());
        match widths.find(|width| width % 2 == 1) {
            Some(width) => Err(VaeConfigError::OddWidth { width }),
            None => Ok(()),
        }
    }

    /// A shortcut moves whole groups of channels.
    fn check_shortcuts(&self) -> Result<(), VaeConfigError> {
        let down = self.encoder_stages().into_iter().map(|stage| (stage.inputs, stage.outputs, stage));
        let up = self.decoder_stages().into_iter().filter(|stage| stage.temporal_step.is_some());
        let up = up.map(|stage| (stage.outputs, stage.inputs, stage));
        let unfit = |&(fine, coarse, ref stage): &(usize, usize, Stage)| fine * stage.factor() % coarse != 0;
        match down.chain(up).find(unfit) {
            Some((.., stage)) => {
                let factor = stage.factor();
                Err(VaeConfigError::Shortcut { inputs: stage.inputs, outputs: stage.outputs, factor })
            }
            None => Ok(()),
        }
    }

    pub(super) fn encoder_stages(&self) -> Vec<Stage> {
        let outputs = self.dim_mult.iter().map(|m| m * self.base_dim);
        let inputs = std::iter::once(self.base_dim).chain(outputs.clone());
        stages(inputs, outputs, self.temporal_down.iter().copied())
    }

    pub(super) fn decoder_stages(&self) -> Vec<Stage> {
        let outputs = self.dim_mult.iter().rev().map(|m| m * self.decoder_width());
        let inputs = std::iter::once(self.decoder_middle()).chain(outputs.clone().map(|w| self.upsampled(w)));
        stages(inputs, outputs, self.temporal_down.iter().rev().copied())
    }

    /// Channels behind the upsampling of `width` channels.
    pub(super) fn upsampled(&self, width: usize) -> usize {
        if self.residual { width } else { width / 2 }
    }

    /// Channels of the encoder's middle block.
    pub(super) fn encoder_middle(&self) -> usize {
        self.dim_mult.last().map_or(0, |m| m * self.base_dim)
    }

    /// Channels of the decoder's middle block.
    pub(super) fn decoder_middle(&self) -> usize {
        self.dim_mult.last().map_or(0, |m| m * self.decoder_width())
    }

    /// Channels of the decoder's last stage in units of the first entry of `dim_mult`.
    pub(super) fn decoder_width(&self) -> usize {
        self.decoder_base_dim.unwrap_or(self.base_dim)
    }

    /// Channels of a frame as the networks see it.
    pub(super) fn frame_channels(&self) -> usize {
        3 * self.patch_size * self.patch_size
    }
}

fn stages(
    inputs: impl Iterator<Item = usize>,
    outputs: impl Iterator<Item = usize>,
    temporal: impl Iterator<Item = bool>,
) -> Vec<Stage> {
    let steps = temporal.map(Some).chain(std::iter::repeat(None));
    let stages = inputs.zip(outputs).zip(steps);
    stages.map(|((inputs, outputs), temporal_step)| Stage { inputs, outputs, temporal_step }).collect()
}

fn check_length(name: &'static str, expected: usize, found: usize) -> Result<(), VaeConfigError> {
    if found == expected { Ok(()) } else { Err(VaeConfigError::Length { name, expected, found }) }
}
