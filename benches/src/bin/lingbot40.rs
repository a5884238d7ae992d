//! `lingbot40 --folder DIR [--blocks 40] [--latent 1,40,48]`: one expert of LingBot-World in four bits, all of its blocks
//! in one file, of which one forward pass is made on the CPU straight out of that file, as JSON on stdout.
//!
//! The file, 10 GB, is written into the folder unless it is there, and stays. One block of random values is drawn and
//! quantized; every block of the file has these.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use burn::{
    prelude::*,
    tensor::{Distribution, FloatDType},
};
use half::bf16;
use memmap2::Mmap;
use safetensors::SafeTensors;
use wan_benches::{argument, latent_argument, peak_memory_bytes};
use wan_import::{
    Checkpoint, Component, Conversion, DtypePolicy, PackagePlan, Part, Quant, Stored, TensorBytes,
    TensorInfo, TensorSource,
};
use wan_model::{Conditions, WanConfig};
use wan_pipeline::stream_pages;

const FILE: &str = "lingbot40.safetensors";
/// How often the memory is looked at.
const EVERY: Duration = Duration::from_millis(5);

#[derive(serde::Serialize)]
struct Row {
    what: &'static str,
    machine: Option<String>,
    commit: Option<String>,
    blocks: usize,
    tokens: usize,
    file_bytes: u64,
    load_seconds: f64,
    /// Of one pass, with one prompt and a camera whose modulations no block keeps.
    forward_seconds: f64,
    /// Memory that no file backs, at its most.
    peak_anonymous_bytes: u64,
    /// With the file's pages.
    peak_resident_bytes: Option<u64>,
}

#[expect(clippy::print_stdout, reason = "a measurement's result is its output")]
fn main() {
    let folder = PathBuf::from(argument("--folder", String::from(".")));
    let blocks = argument("--blocks", WanConfig::lingbot_base_cam().layers);
    let path = folder.join(FILE);
    if !path.exists() {
        write(&folder, &path, blocks);
        // What was held for writing must not count.
        let again = std::env::args_os().skip(1);
        let program = std::env::current_exe().expect("this program's path");
        let ended = std::process::Command::new(program).args(again).status().expect("it starts again");
        assert!(ended.success(), "the measurement failed");
        return;
    }
    println!("{}", serde_json::to_string_pretty(&measure(&path)).unwrap_or_default());
}

fn measure(path: &Path) -> Row {
    let watch = Anonymous::watch();
    let component = Component::open(path).expect("a file of this program");
    let config = component.dit_config().expect("a transformer");
    let device = Device::flex();
    let policy = DtypePolicy { half_scales: true, streamed: true, ..DtypePolicy::float(FloatDType::F32) };
    let start = Instant::now();
    let model = component.load_transformer(&policy, &device).expect("a whole file");
    let model = model.watched_by(stream_pages(&component, &config).expect("a whole file"));
    let load_seconds = start.elapsed().as_secs_f64();
    let [frames, rows, columns] = latent_argument();
    let tokens = frames * rows * columns / config.patch_volume();
    let random = |shape: [usize; 3]| Tensor::<3>::random(shape, Distribution::Default, &device);
    let x =
        random([config.in_dim * frames, rows, columns]).reshape([1, config.in_dim, frames, rows, columns]);
    let text = model.embed_text(random([1, 20, config.text_dim]));
    let control = random([1, tokens, config.control_width().unwrap_or_default()]);
    let camera = model.embed_camera(control, 0).expect("LingBot has a camera");
    let conditions = Conditions { texts: [&text], image: None, camera: Some(&camera) };
    let rope = model.rope([frames, rows, columns], &device);
    let start = Instant::now();
    let y = model.forward(x, 500.0, conditions, &rope).abs().mean().into_scalar::<f32>();
    let forward_seconds = start.elapsed().as_secs_f64();
    assert!(y.is_finite() && y > 0.0, "the result is flat or not finite: {y}");
    let [machine, commit] = ["WAN_MACHINE", "WAN_COMMIT"].map(|name| std::env::var(name).ok());
    Row {
        what: "one forward pass, LingBot-World expert, nf4, blocks streamed out of the mapped file",
        machine,
        commit,
        blocks: config.layers,
        tokens,
        file_bytes: path.metadata().map_or(0, |file| file.len()),
        load_seconds,
        forward_seconds,
        peak_anonymous_bytes: watch.end(),
        peak_resident_bytes: peak_memory_bytes(),
    }
}

/// One block as a package has it, then the file with `blocks` of them.
fn write(folder: &Path, path: &Path, blocks: usize) {
    let config = WanConfig { layers: 1, ..WanConfig::lingbot_base_cam() };
    let mut checkpoint = Checkpoint::imagined(config, &Stored::Bf16);
    let drawn = Drawn { shapes: checkpoint.dit.source.clone() };
    checkpoint.dit.source = Arc::new(drawn);
    checkpoint.dit_high = None;
    let conversion =
        Conversion { quant: Some(Quant::Nf4), only: vec![Part::Transformer], ..Conversion::default() };
    let package = folder.join("one-block");
    let plan = PackagePlan::new(&checkpoint, folder, &conversion).expect("a model");
    plan.make(&package, &mut |_| std::ops::ControlFlow::Continue(())).expect("room on the disk");
    let one = File::open(package.join("transformer/diffusion_pytorch_model.safetensors")).expect("a package");
    // SAFETY: nobody writes to the file, which this program has just made.
    let one = unsafe { Mmap::map(&one) }.expect("it can be mapped");
    let one = SafeTensors::deserialize(&one).expect("a package's file");
    let all = one.iter().flat_map(|(name, view)| {
        let names: Vec<String> = match name.strip_prefix("blocks.0.") {
            Some(rest) => (0..blocks).map(|block| format!("blocks.{block}.{rest}")).collect(),
            None => vec![name.to_owned()],
        };
        names.into_iter().map(move |name| (name, view.clone()))
    });
    let unfinished = path.with_extension("partial");
    safetensors::serialize_to_file(all.collect::<Vec<_>>(), None, &unfinished).expect("room on the disk");
    std::fs::rename(unfinished, path).expect("it can be renamed");
    std::fs::remove_dir_all(package).expect("the package can be removed");
}

/// Of the camera's scales: forty times the same block would multiply large ones with themselves.
const CAMERA_SCALE: f64 = 0.05;

/// Random values in bf16 for the tensors of another source, of variance one over the fan-in.
#[derive(Debug)]
struct Drawn {
    shapes: Arc<dyn TensorSource>,
}

impl TensorSource for Drawn {
    fn path(&self) -> &Path {
        self.shapes.path()
    }

    fn names(&self) -> Vec<&str> {
        self.shapes.names()
    }

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.shapes.info(name)
    }

    fn data(&self, name: &str) -> Option<TensorBytes> {
        let shape = &self.info(name)?.shape;
        let count: usize = shape.iter().product();
        let fan_in: usize = shape.iter().skip(1).product();
        let scale = if name.contains("cam_scale_layer") { CAMERA_SCALE } else { 1.0 };
        let values = match shape.len() {
            1 => Tensor::<1>::random([count], Distribution::Normal(1.0, 0.1), &Device::flex()),
            _ => Tensor::random(
                [count],
                Distribution::Normal(0.0, scale * (fan_in as f64).powf(-0.5)),
                &Device::flex(),
            ),
        };
        let values = values.into_data().try_into_vec::<f32>().ok()?;
        Some(TensorBytes::owned(
            values.iter().flat_map(|&value| bf16::from_f32(value).to_le_bytes()).collect(),
        ))
    }
}

/// Looks at the memory of this process until it is told to end.
struct Anonymous {
    ended: Arc<AtomicBool>,
    most: Arc<AtomicU64>,
}

impl Anonymous {
    fn watch() -> Self {
        let (ended, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let watch = Self { ended: ended.clone(), most: most.clone() };
        thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                most.fetch_max(anonymous_bytes(), Ordering::Relaxed);
                thread::sleep(EVERY);
            }
        });
        watch
    }

    fn end(self) -> u64 {
        self.ended.store(true, Ordering::Relaxed);
        self.most.load(Ordering::Relaxed)
    }
}

/// Of Linux; 0 elsewhere.
fn anonymous_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}
