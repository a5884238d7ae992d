//! `generation_config.json` of a model's folder: how its authors sample it.

use std::path::Path;

use serde::Deserialize;

use crate::{ImportError, json};

/// Defaults of one model, under the names of the diffusers pipeline's arguments. Each is absent unless the file sets
/// it; none is checked here.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct GenerationConfig {
    /// Pixels.
    pub width: Option<usize>,
    /// Pixels.
    pub height: Option<usize>,
    /// Pixel frames, `4n + 1`.
    pub num_frames: Option<usize>,
    /// Frames per second.
    pub fps: Option<f64>,
    /// Denoising steps.
    pub num_inference_steps: Option<usize>,
    /// Guidance scale; 1 means no unconditional pass.
    pub guidance_scale: Option<f64>,
    /// Guidance scale of the expert for low noise, if it has one of its own.
    pub guidance_scale_2: Option<f64>,
    /// What is avoided; empty for nothing.
    pub negative_prompt: Option<String>,
}

impl GenerationConfig {
    /// Reads the file of the folder `root`; all defaults are absent if there is none.
    ///
    /// # Errors
    /// [`ImportError::Io`], and [`ImportError::Config`] if it is not a JSON object or a setting has another type.
    pub fn read(root: &Path) -> Result<Self, ImportError> {
        let path = root.join("generation_config.json");
        if !path.is_file() {
            return Ok(Self::default());
        }
        json::read_settings(&path).map(|(config, _)| config)
    }

    /// Width and height, if both are set.
    pub fn size(&self) -> Option<(usize, usize)> {
        self.width.zip(self.height)
    }
}
