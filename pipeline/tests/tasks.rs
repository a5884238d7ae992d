//! Whole runs of every task's tiny checkpoint against diffusers and against the official rules.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::PathBuf;

use burn::prelude::*;
use support::{Film, run, tiny};
use testkit::{FRAMES_MEAN, Golden, TestDevice, Tolerance, devices, mean_difference, relative_l2};
use wan_import::{Checkpoint, Source, read_camera};
use wan_model::{Solver, image::Picture};
use wan_pipeline::{GenerateRequest, Noise, Schedule};

/// A checkpoint under `tiny_tasks` and the runs of it in `tasks_<name>.safetensors`.
struct Case {
    name: &'static str,
    golden: Golden,
    checkpoint: Checkpoint,
}

/// Whose rules a run follows.
#[derive(Clone, Copy, PartialEq)]
enum Rules {
    Diffusers,
    Official,
}

fn folder(case: &str) -> PathBuf {
    Golden::path("tiny_tasks").join(case)
}

/// The case's folder, and from others what it lacks.
fn source(case: &str) -> Source {
    let (model, shared) = (folder(case), tiny("diffusers"));
    let own_vae = Some(model.join("vae")).filter(|vae| vae.is_dir());
    let image_encoder = (case == "flf2v").then(|| folder("i2v_clip").join("image_encoder"));
    Source {
        model: Some(model),
        vae: own_vae.or(Some(shared.join("vae"))),
        image_encoder,
        ..text_parts(&shared)
    }
}

fn text_parts(shared: &std::path::Path) -> Source {
    Source {
        text_encoder: Some(shared.join("text_encoder")),
        tokenizer: Some(shared.join("tokenizer")),
        ..Source::default()
    }
}

impl Case {
    fn new(name: &'static str) -> Self {
        let checkpoint = Checkpoint::open(&source(name)).expect("a good checkpoint");
        Self { name, golden: Golden::load(&format!("tasks_{name}")), checkpoint }
    }

    fn number(&self, key: &str) -> f64 {
        self.golden.text(key).parse().unwrap()
    }

    fn count(&self, key: &str) -> usize {
        self.golden.text(key).parse().unwrap()
    }

    fn picture(&self, key: &str) -> Option<Picture> {
        let (shape, values) = self.golden.get(key);
        let bytes = values.iter().map(|&value| value as u8).collect();
        Some(Picture::new(shape[0], shape[1], bytes).unwrap())
    }

    fn noise(&self) -> Option<Noise> {
        let (shape, values) = self.golden.get("noise");
        Some(Noise { shape: shape.to_vec(), values: values.to_vec() })
    }

    /// The request behind the golden's `run`, without pictures and camera.
    fn request(&self, run: &str, rules: Rules) -> GenerateRequest {
        let of_run = |key: &str| self.number(&format!("{run}.{key}"));
        let official = rules == Rules::Official;
        GenerateRequest {
            prompt: self.golden.text("prompt").to_owned(),
            negative: Some(self.golden.text("negative").to_owned()),
            size: Some((self.count("width"), self.count("height"))),
            frames: Some(self.count("frames")),
            steps: Some(self.count(&format!("{run}.steps"))),
            shift: official.then(|| of_run("shift")),
            guidance: Some(of_run("guidance")),
            solver: official.then_some(Solver::Euler),
            schedule: if official { Schedule::Official } else { Schedule::Diffusers },
            noise: self.noise(),
            ..GenerateRequest::default()
        }
    }

    /// [`Self::request`] for two experts, their guidance and boundary.
    fn experts(&self, run: &str, rules: Rules) -> GenerateRequest {
        let of_run = |key: &str| self.number(&format!("{run}.{key}"));
        GenerateRequest {
            guidance_high: Some(of_run("guidance_high")),
            boundary: (rules == Rules::Official).then(|| of_run("boundary")),
            ..self.request(run, rules)
        }
    }

    /// The size follows from the picture, as the official command line has it.
    fn sized_by_area(&self, request: GenerateRequest) -> GenerateRequest {
        GenerateRequest { size: None, area: Some(self.count("area")), ..request }
    }

    /// Holds every step of `run` against the golden, on every device.
    fn check(&self, run: &str, request: &GenerateRequest, tolerance: fn(&TestDevice) -> Tolerance) {
        for device in &devices() {
            let film = self.film(request, &device.device);
            assert_eq!(film.steps.len(), self.count(&format!("{run}.steps")));
            for (index, latents) in film.steps.iter().enumerate() {
                self.close(device, latents, &format!("{run}.step_{index:03}"), tolerance(device));
            }
        }
    }

    fn film(&self, request: &GenerateRequest, device: &Device) -> Film {
        run(&self.checkpoint, request, device).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    fn close(&self, device: &TestDevice, latents: &[f32], key: &str, tolerance: Tolerance) {
        let error = relative_l2(latents, self.golden.get(key).1);
        let (case, on, bound) = (self.name, device.name, tolerance.0);
        assert!(error <= bound, "{case} on {on}: {key} is off by {error:.2e}, more than {bound:.0e}");
    }
}

#[test]
fn an_image_seen_by_clip_follows_diffusers() {
    let case = Case::new("i2v_clip");
    let request = case.request("diffusers", Rules::Diffusers);
    let request = GenerateRequest { image: case.picture("picture"), ..request };
    case.check("diffusers", &request, Tolerance::run);
}

#[test]
fn an_image_seen_by_clip_follows_the_official_rules() {
    let case = Case::new("i2v_clip");
    let request = case.sized_by_area(case.request("official", Rules::Official));
    let request = GenerateRequest { image: case.picture("picture"), ..request };
    case.check("official", &request, Tolerance::run);
}

#[test]
fn a_first_and_a_last_image_follow_diffusers() {
    let case = Case::new("flf2v");
    let request = GenerateRequest {
        image: case.picture("picture"),
        last_image: case.picture("last_picture"),
        ..case.request("diffusers", Rules::Diffusers)
    };
    case.check("diffusers", &request, Tolerance::run);
}

#[test]
fn two_experts_with_an_image_follow_diffusers() {
    let case = Case::new("i2v_a14b");
    let request = case.experts("diffusers", Rules::Diffusers);
    let request = GenerateRequest { image: case.picture("picture"), ..request };
    case.check("diffusers", &request, Tolerance::run);
    let request = GenerateRequest { last_image: case.picture("last_picture"), ..request };
    case.check("last", &request, Tolerance::run);
}

#[test]
fn two_experts_with_an_image_follow_the_official_rules() {
    let case = Case::new("i2v_a14b");
    let request = case.sized_by_area(case.experts("official", Rules::Official));
    let request = GenerateRequest { image: case.picture("picture"), ..request };
    case.check("official", &request, Tolerance::run);
}

#[test]
fn two_experts_with_text_alone_follow_diffusers() {
    let case = Case::new("t2v_a14b");
    case.check("diffusers", &case.experts("diffusers", Rules::Diffusers), Tolerance::run);
}

#[test]
fn a_timestep_for_each_token_with_text_alone_follows_diffusers() {
    let case = Case::new("ti2v");
    case.check("text", &case.request("text", Rules::Diffusers), Tolerance::run);
}

/// Latents between the steps are not compared: diffusers puts the image into what the network sees and into the last
/// ones only.
#[test]
fn a_first_frame_that_is_given_follows_diffusers() {
    let case = Case::new("ti2v");
    let request = case.request("image", Rules::Diffusers);
    let request = GenerateRequest { image: case.picture("picture"), ..request };
    for device in &devices() {
        let film = case.film(&request, &device.device);
        let last = film.steps.last().expect("steps");
        case.close(device, last, "image.latents", Tolerance::run(device));
        let frames = mean_difference(&film.frames, case.golden.get("image.frames").1);
        assert!(frames <= FRAMES_MEAN, "{}: frames differ by {frames}", device.name);
    }
}

#[test]
fn a_first_frame_that_is_given_follows_the_official_rules() {
    let case = Case::new("ti2v");
    let request = case.sized_by_area(case.request("official", Rules::Official));
    let request = GenerateRequest { image: case.picture("picture"), ..request };
    case.check("official", &request, Tolerance::run);
}

/// LingBot from the folder as its authors publish it; `run` is `camera` or `still`.
fn lingbot(case: &Case, run: &str) -> GenerateRequest {
    let camera = (run == "camera").then(|| read_camera(&folder("lingbot_camera")).expect("a good path"));
    let request = case.sized_by_area(case.experts(run, Rules::Official));
    GenerateRequest { image: case.picture("picture"), camera, ..request }
}

fn plain(device: &TestDevice) -> Tolerance {
    if device.gpu { Tolerance::RUN_GPU } else { Tolerance::RUN_PLAIN }
}

#[test]
fn a_camera_steers_two_experts_by_the_official_rules() {
    let case = Case::new("lingbot");
    case.check("camera", &lingbot(&case, "camera"), plain);
}

#[test]
fn without_a_camera_its_layers_are_left_out() {
    let case = Case::new("lingbot");
    case.check("still", &lingbot(&case, "still"), plain);
}

#[test]
fn a_path_that_ends_in_between_is_cut_to_whole_latent_frames() {
    let case = Case::new("lingbot");
    let request = GenerateRequest { frames: None, ..lingbot(&case, "camera") };
    let plan = request.plan(&case.checkpoint).expect("a good request");
    assert_eq!(plan.frames, case.count("frames"));
}

#[test]
fn experts_given_as_files_run_as_those_of_a_folder() {
    let case = Case::new("lingbot");
    let (high, low) = (folder("lingbot").join("high_noise_model"), folder("lingbot").join("low_noise_model"));
    let shared = tiny("diffusers");
    let files = |dit: PathBuf, dit_high: PathBuf| Source {
        dit: Some(dit),
        dit_high: Some(dit_high),
        vae: Some(shared.join("vae")),
        ..text_parts(&shared)
    };
    let request = lingbot(&case, "camera");
    let last = |checkpoint: &Checkpoint| run(checkpoint, &request, &Device::flex()).unwrap().steps.pop();
    let whole = last(&case.checkpoint);
    let open = |source: Source| Checkpoint::open(&source).expect("a good checkpoint");
    assert!(whole.is_some());
    assert!(last(&open(files(low.clone(), high.clone()))) == whole);
    assert!(last(&open(files(high, low))) != whole, "swapped experts go unnoticed");
}

#[test]
fn an_image_model_without_its_image_encoder_does_not_open() {
    let error = Checkpoint::open(&Source { image_encoder: None, ..source("flf2v") }).expect_err("no encoder");
    assert!(error.to_string().contains("image encoder"), "{error}");
}

#[test]
fn requests_that_do_not_fit_the_task_are_refused() {
    let (clip, text) = (Case::new("i2v_clip"), Case::new("t2v_a14b"));
    let (ti2v, world) = (Case::new("ti2v"), Case::new("lingbot"));
    let camera = || Some(read_camera(&folder("lingbot_camera")).expect("a good path"));
    let (image, last_image) = (clip.picture("picture"), clip.picture("picture"));
    let of = |case: &Case, run| GenerateRequest { noise: None, ..case.request(run, Rules::Diffusers) };
    let with_image = |request| GenerateRequest { image: image.clone(), ..request };
    let cases = [
        ("an image is missing", &clip, of(&clip, "diffusers")),
        ("an image is missing", &world, of(&world, "camera")),
        ("an image too much", &text, with_image(of(&text, "diffusers"))),
        ("a last image too much", &ti2v, GenerateRequest { last_image, ..with_image(of(&ti2v, "image")) }),
        (
            "a camera too much",
            &clip,
            GenerateRequest { camera: camera(), ..with_image(of(&clip, "diffusers")) },
        ),
        ("a size 32 does not divide", &ti2v, GenerateRequest { size: Some((48, 32)), ..of(&ti2v, "text") }),
        ("a boundary above 1", &text, GenerateRequest { boundary: Some(1.5), ..of(&text, "diffusers") }),
    ];
    for (what, case, request) in cases {
        let error = request.plan(&case.checkpoint).expect_err(what);
        assert!(error.is_usage(), "{what}: {error}");
        assert!(error.hint().is_some(), "{what}: {error} has no hint");
    }
}
