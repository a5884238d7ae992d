//! `scheduler_config.json` of a diffusers folder.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::{ImportError, json};

/// The settings that decide a sampling run; each is absent if the file does not set it.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct SchedulerConfig {
    /// The library's class, such as `UniPCMultistepScheduler`.
    #[serde(rename = "_class_name")]
    pub class_name: Option<String>,
    /// Shift of the flow schedule, as the multistep solvers name it.
    pub flow_shift: Option<f64>,
    /// Shift of the flow schedule, as the flow-matching schedulers name it.
    pub shift: Option<f64>,
    /// Whether sigmas follow the flow schedule.
    pub use_flow_sigmas: Option<bool>,
    /// Whether the shift depends on the resolution.
    pub use_dynamic_shifting: Option<bool>,
    /// Whether sigmas follow Karras's schedule.
    pub use_karras_sigmas: Option<bool>,
    /// Order of the multistep solver.
    pub solver_order: Option<u64>,
    /// Kind of the multistep solver, such as `bh2`.
    pub solver_type: Option<String>,
    /// What the model predicts, such as `flow_prediction`.
    pub prediction_type: Option<String>,
    /// Whether the solver predicts the clean sample.
    pub predict_x0: Option<bool>,
    /// Whether the last steps fall back to a lower order.
    pub lower_order_final: Option<bool>,
    /// What the last sigma is, such as `zero`.
    pub final_sigmas_type: Option<String>,
    /// Time steps of the training schedule.
    pub num_train_timesteps: Option<u64>,
    /// The whole file.
    #[serde(skip)]
    pub raw: Value,
}

impl SchedulerConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// [`ImportError::Io`], and [`ImportError::Config`] if it is not a JSON object or a setting has another type.
    pub fn read(path: &Path) -> Result<Self, ImportError> {
        let (config, raw) = json::read_settings::<Self>(path)?;
        Ok(Self { raw, ..config })
    }
}
