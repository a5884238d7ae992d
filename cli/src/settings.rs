//! Every setting of one clip under the name of its flag: on the command line, in files, and with the clip itself.

mod choices;
mod dimensions;
mod memory;

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use choices::{DtypeChoice, Offload, Quant, Schedule, Solver, Task, VaeDtype};
pub use dimensions::{Area, Size};
pub use memory::{MemoryLimit, VaeTiling};

use crate::{
    args::{parse_count, parse_not_negative, parse_positive},
    devices::DeviceChoice,
    engine::ModelPath,
};

/// What makes a clip what it is. `None` means the model's default, or the machine's.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    /// What the video shows
    #[arg(long, value_name = "TEXT")]
    pub prompt: Option<String>,
    /// What to avoid; the model's own text unless given, "" for none
    #[arg(long, value_name = "TEXT")]
    pub negative: Option<String>,

    /// The first frame: png, jpeg, webp or gif
    #[arg(long, value_name = "FILE", help_heading = "Conditions")]
    pub image: Option<PathBuf>,
    /// The last frame
    #[arg(long, value_name = "FILE", help_heading = "Conditions")]
    pub last_image: Option<PathBuf>,
    /// Camera path: folder with poses.npy and intrinsics.npy, or a cameras.json; see `wan camera make`
    #[arg(long, value_name = "DIR", help_heading = "Conditions")]
    pub camera: Option<PathBuf>,

    /// Checkpoint folder in the diffusers or the official layout, or `demo`, the built-in model, which is also what no
    /// model at all means
    #[arg(long, value_name = "DIR", help_heading = "Model")]
    pub model: Option<ModelPath>,
    /// Diffusion transformer file, instead of the model folder's
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    pub dit: Option<PathBuf>,
    /// Of two transformers the one for high noise; --dit is the other one then
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    pub dit_high: Option<PathBuf>,
    /// Video autoencoder file
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    pub vae: Option<PathBuf>,
    /// umT5 text encoder file
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    pub text_encoder: Option<PathBuf>,
    /// CLIP image encoder file, for the image models of Wan 2.1
    #[arg(long, value_name = "FILE", alias = "clip", help_heading = "Model")]
    pub image_encoder: Option<PathBuf>,
    /// Tokenizer file or folder
    #[arg(long, value_name = "PATH", help_heading = "Model")]
    pub tokenizer: Option<PathBuf>,
    /// Kind of job; refused if the checkpoint is for another [default: auto]
    #[arg(long, value_enum, help_heading = "Model")]
    pub task: Option<Task>,

    /// Pixels, for example 832x480
    #[arg(long, value_name = "WxH", help_heading = "Video")]
    pub size: Option<Size>,
    /// Pixels of a frame with the image's proportions, about: 480p, 720p, or as WxH
    #[arg(long, value_name = "AREA", conflicts_with = "size", help_heading = "Video")]
    pub area: Option<Area>,
    /// Number of frames, 4n+1
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_count, conflicts_with = "seconds", help_heading = "Video")]
    pub frames: Option<usize>,
    /// Length, instead of --frames
    #[arg(long, value_name = "S", allow_negative_numbers = true, value_parser = parse_positive, help_heading = "Video")]
    pub seconds: Option<f64>,
    /// Frames per second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), help_heading = "Video")]
    pub fps: Option<u32>,

    /// Number of denoising steps
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = parse_count, help_heading = "Sampling")]
    pub steps: Option<usize>,
    /// Sampler
    #[arg(long, value_enum, help_heading = "Sampling")]
    pub solver: Option<Solver>,
    /// Shift of the noise schedule
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = parse_positive, help_heading = "Sampling")]
    pub shift: Option<f64>,
    /// Guidance scale
    #[arg(long, value_name = "G", allow_negative_numbers = true, value_parser = parse_not_negative, help_heading = "Sampling")]
    pub guidance: Option<f64>,
    /// Guidance scale of the transformer for low noise, where there are two
    #[arg(long, value_name = "G", allow_negative_numbers = true, value_parser = parse_not_negative, help_heading = "Sampling")]
    pub guidance_low: Option<f64>,
    /// Guidance scale of the transformer for high noise, where there are two
    #[arg(long, value_name = "G", allow_negative_numbers = true, value_parser = parse_not_negative, help_heading = "Sampling")]
    pub guidance_high: Option<f64>,
    /// Noise level from 0 to 1 from which on the transformer for high noise works, where there are two
    #[arg(long, value_name = "F", allow_negative_numbers = true, value_parser = parse_not_negative, help_heading = "Sampling")]
    pub boundary: Option<f64>,
    /// Whose sigma grid, sizing rules and preparation of pictures [default: auto]
    #[arg(long, value_enum, help_heading = "Sampling")]
    pub schedule: Option<Schedule>,
    /// Seed of the noise; random unless given
    #[arg(long, value_name = "N", help_heading = "Sampling")]
    pub seed: Option<u64>,
    /// Safetensors file with the starting `noise` [C,T,H,W], instead of the seed's
    #[arg(long, value_name = "FILE", help_heading = "Sampling")]
    pub noise: Option<PathBuf>,

    /// auto, cpu, ndarray, wgpu[:I], vulkan[:I] or metal; see `wan devices` [default: auto]
    #[arg(long, value_name = "DEVICE", help_heading = "Machine")]
    pub device: Option<DeviceChoice>,
    /// Precision of matmul inputs and weights [default: auto]
    #[arg(long, value_enum, help_heading = "Machine")]
    pub dtype: Option<DtypeChoice>,
    /// Bits in which the transformer's large layers are held [default: none]
    #[arg(long, value_enum, help_heading = "Machine")]
    pub quant: Option<Quant>,
    /// Precision of what the VAE remembers of earlier frames: f16 halves its memory, for a small error [default: f32]
    #[arg(long, value_enum, help_heading = "Machine")]
    pub vae_dtype: Option<VaeDtype>,
    /// Tiles in which the VAE works: auto (none, unless a frame does not fit), off, or their ROWSxCOLUMNS [default: auto]
    #[arg(long, value_name = "TILES", help_heading = "Machine")]
    pub vae_tiling: Option<VaeTiling>,
    /// What waits on the host, or in its file, for its turn on the device [default: auto]
    #[arg(long, value_enum, help_heading = "Machine")]
    pub offload: Option<Offload>,
    /// Memory of the device, or of the host on the CPU, that may be taken, for example 8GB; none: whatever it takes
    /// [default: what is free]
    #[arg(long, value_name = "SIZE", help_heading = "Machine")]
    pub memory_limit: Option<MemoryLimit>,
}

/// Settings of which one clip takes one: a given one replaces the other.
const RIVALS: [[&str; 2]; 3] = [["size", "area"], ["frames", "seconds"], ["seed", "noise"]];
/// Settings that a given one leaves without meaning.
const COVERED: [(&str, &[&str]); 2] = [
    ("guidance", &["guidance-low", "guidance-high"]),
    ("model", &["dit", "dit-high", "vae", "text-encoder", "image-encoder", "tokenizer"]),
];

impl Settings {
    /// As an object of those that are given.
    ///
    /// # Errors
    /// A path that is no UTF-8.
    pub fn to_map(&self) -> serde_json::Result<Map<String, Value>> {
        let Value::Object(map) = serde_json::to_value(self)? else { return Ok(Map::new()) };
        Ok(map.into_iter().filter(|(_, value)| !value.is_null()).collect())
    }

    /// These, and those of `base` that are not given here.
    ///
    /// # Errors
    /// As [`Self::to_map`].
    pub fn over(&self, base: &Self) -> serde_json::Result<Self> {
        let (own, mut map) = (self.to_map()?, base.to_map()?);
        for [a, b] in RIVALS {
            if own.contains_key(a) || own.contains_key(b) {
                map.remove(a);
                map.remove(b);
            }
        }
        for (_, covered) in COVERED.iter().filter(|(name, _)| own.contains_key(*name)) {
            covered.iter().for_each(|name| drop(map.remove(*name)));
        }
        map.extend(own);
        serde_json::from_value(Value::Object(map))
    }

    /// The files and folders these name, by the names of their flags.
    pub fn paths(&mut self) -> impl Iterator<Item = (&'static str, &mut PathBuf)> {
        let model = match &mut self.model {
            Some(ModelPath::Folder(path)) => Some(path),
            _ => None,
        };
        let named = [
            ("model", model),
            ("dit", self.dit.as_mut()),
            ("dit-high", self.dit_high.as_mut()),
            ("vae", self.vae.as_mut()),
            ("text-encoder", self.text_encoder.as_mut()),
            ("image-encoder", self.image_encoder.as_mut()),
            ("tokenizer", self.tokenizer.as_mut()),
            ("image", self.image.as_mut()),
            ("last-image", self.last_image.as_mut()),
            ("camera", self.camera.as_mut()),
            ("noise", self.noise.as_mut()),
        ];
        named.into_iter().filter_map(|(name, path)| Some((name, path?)))
    }

    /// The model; the built-in one if no component is named either and this build has it.
    pub fn model(&self) -> Option<ModelPath> {
        let parts =
            [&self.dit, &self.dit_high, &self.vae, &self.text_encoder, &self.image_encoder, &self.tokenizer];
        let none = parts.iter().all(|part| part.is_none());
        self.model.clone().or((none && cfg!(feature = "demo")).then_some(ModelPath::Demo))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(json: Value) -> Settings {
        serde_json::from_value(json).expect("settings")
    }

    #[test]
    fn names_are_those_of_the_flags() {
        let json = serde_json::json!({
            "prompt": "a fox", "size": "832x480", "last-image": "b.png", "device": "wgpu:1", "solver": "dpm++",
            "vae-dtype": "f16", "guidance-high": 4.5, "model": "demo", "seed": u64::MAX,
        });
        let read = settings(json.clone());
        assert_eq!(read.size, Some(Size { width: 832, height: 480 }));
        assert_eq!(read.device, Some(DeviceChoice::Wgpu(Some(1))));
        assert_eq!(read.model, Some(ModelPath::Demo));
        assert_eq!(Value::Object(read.to_map().expect("UTF-8")), json);
        let unknown = serde_json::from_value::<Settings>(serde_json::json!({"promt": "a fox"}));
        assert!(unknown.expect_err("a typo").to_string().contains("promt"));
    }

    #[test]
    fn given_settings_replace_others_and_their_rivals() {
        let base = settings(serde_json::json!({"size": "64x32", "frames": 9, "seed": 1, "steps": 4}));
        let given = settings(serde_json::json!({"area": "480p", "steps": 5}));
        let both = given.over(&base).expect("UTF-8");
        let expected = serde_json::json!({"area": "480p", "frames": 9, "seed": 1, "steps": 5});
        assert_eq!(both, settings(expected));
    }

    #[test]
    fn what_a_given_setting_covers_goes() {
        let base = serde_json::json!({"guidance-low": 3.0, "guidance-high": 4.0, "vae": "v.pth", "noise": "n", "fps": 8});
        let given = settings(serde_json::json!({"guidance": 5.0, "model": "demo", "seed": 3}));
        let both = given.over(&settings(base)).expect("UTF-8");
        let expected = serde_json::json!({"guidance": 5.0, "model": "demo", "seed": 3, "fps": 8});
        assert_eq!(both, settings(expected));
    }

    #[test]
    fn paths_are_told_by_flag() {
        let mut given = settings(serde_json::json!({"image": "a.png", "model": "demo", "camera": "walk"}));
        let names: Vec<_> = given.paths().map(|(name, _)| name).collect();
        assert_eq!(names, ["image", "camera"]);
    }
}
