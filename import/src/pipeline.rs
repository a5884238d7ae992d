//! `model_index.json` of a diffusers folder: how its pipeline uses the components.

use std::path::Path;

use serde::Deserialize;

use crate::{ImportError, json};

/// Settings of the diffusers pipeline that no component's own configuration has. Each is absent unless the file sets
/// it; none is checked here.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PipelineConfig {
    /// Timestep / 1000 from which on the expert for high noise works.
    pub boundary_ratio: Option<f64>,
    /// Whether each token has a timestep of its own, as in Wan 2.2 TI2V.
    pub expand_timesteps: Option<bool>,
}

impl PipelineConfig {
    /// Reads the file of the folder `root`; all settings are absent if there is none.
    ///
    /// # Errors
    /// [`ImportError::Io`], and [`ImportError::Config`] if it is not a JSON object or a setting has another type.
    pub fn read(root: &Path) -> Result<Self, ImportError> {
        let path = root.join("model_index.json");
        if !path.is_file() {
            return Ok(Self::default());
        }
        json::read_settings(&path).map(|(config, _)| config)
    }
}
