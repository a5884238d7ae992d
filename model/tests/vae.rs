//! The video VAE against PyTorch, and streaming against the whole sequence.
#![allow(clippy::unwrap_used)]

use burn::{module::Module, prelude::*};
use testkit::{Golden, TestDevice, Tolerance, assert_close, devices, tensor};
use wan_model::{VaeConfig, VaeConfigError, VaeDecoder, VaeEncoder};

/// Streaming and the whole sequence do the same sums, but matrix products block them by the length of the
/// sequence: some tens of layers of f32 rounding. The naive loops of ndarray leave no such freedom and must
/// agree bit by bit.
const STREAM: Tolerance = Tolerance(3e-6);

struct Case {
    golden: Golden,
    config: VaeConfig,
}

impl Case {
    fn new(name: &str, config: VaeConfig) -> Self {
        let golden = Golden::load(name);
        let (latents_mean, latents_std) = (golden.get("mean").1.to_vec(), golden.get("std").1.to_vec());
        Self { golden, config: VaeConfig { latents_mean, latents_std, ..config } }
    }

    fn wan_2_1() -> [Self; 2] {
        let narrow = VaeConfig { base_dim: 4, z_dim: 4, num_res_blocks: 1, ..VaeConfig::wan_2_1() };
        let short = VaeConfig {
            base_dim: 6,
            z_dim: 3,
            dim_mult: vec![1, 1, 2],
            temporal_down: vec![true, false],
            ..VaeConfig::wan_2_1()
        };
        [Self::new("vae", narrow), Self::new("vae_two_blocks", short)]
    }

    fn wan_2_2() -> [Self; 2] {
        let narrow = VaeConfig {
            base_dim: 4,
            decoder_base_dim: Some(3),
            z_dim: 5,
            num_res_blocks: 1,
            ..VaeConfig::wan_2_2()
        };
        let uneven = VaeConfig {
            base_dim: 4,
            decoder_base_dim: Some(6),
            z_dim: 3,
            dim_mult: vec![1, 1, 2, 2],
            temporal_down: vec![true, true, false],
            patch_size: 1,
            ..VaeConfig::wan_2_2()
        };
        [Self::new("vae22", narrow), Self::new("vae22_uneven", uneven)]
    }

    fn all() -> impl Iterator<Item = Self> {
        Self::wan_2_1().into_iter().chain(Self::wan_2_2())
    }

    fn encoder(&self, device: &Device) -> VaeEncoder {
        self.golden.fill("enc.", VaeEncoder::new(&self.config, device))
    }

    fn decoder(&self, device: &Device) -> VaeDecoder {
        self.golden.fill("dec.", VaeDecoder::new(&self.config, device))
    }
}

fn values<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    t.into_data().try_into_vec::<f32>().unwrap()
}

fn assert_same(device: &TestDevice, actual: Tensor<5>, expected: Tensor<5>) {
    let shape = expected.dims();
    let (actual_values, expected_values) = (values(actual.clone()), values(expected));
    if device.name == "ndarray" {
        assert!(actual_values == expected_values, "{shape:?}: not bit-equal");
    }
    assert_close(device.name, actual, (&shape, &expected_values), STREAM);
}

fn decode(decoder: &VaeDecoder, latents: Tensor<5>) -> Tensor<5> {
    Tensor::cat(decoder.stream(latents).collect(), 2)
}

#[test]
fn encodes_like_pytorch() {
    for device in devices() {
        for case in Case::all() {
            let video = case.golden.tensor("video", &device.device);
            let latents = case.encoder(&device.device).encode(video);
            assert_close(device.name, latents, case.golden.get("encoded"), Tolerance::module(&device));
        }
    }
}

#[test]
fn decodes_like_pytorch() {
    for device in devices() {
        for case in Case::all() {
            let latents = case.golden.tensor("latents", &device.device);
            let video = decode(&case.decoder(&device.device), latents);
            assert_close(device.name, video, case.golden.get("decoded"), Tolerance::module(&device));
        }
    }
}

#[test]
fn streamed_decoding_equals_the_whole_sequence() {
    for device in devices() {
        for case in Case::all() {
            let decoder = case.decoder(&device.device);
            let counts: &[usize] = if device.gpu { &[3] } else { &[1, 2, 3, 5] };
            for &frames in counts {
                let latents = tensor(frames as u64, [1, case.config.z_dim, frames, 2, 3], &device.device);
                let whole = decoder.decode_full(latents.clone());
                assert_eq!(whole.dims()[2], case.config.frames(frames));
                assert_same(&device, decode(&decoder, latents), whole);
            }
        }
    }
}

#[test]
fn streamed_encoding_equals_the_whole_sequence() {
    for device in devices() {
        for case in Case::all() {
            let encoder = case.encoder(&device.device);
            let counts: &[usize] = if device.gpu { &[9] } else { &[1, 2, 5, 8, 9, 17] };
            for &frames in counts {
                let side = case.config.spatial_factor();
                let video = tensor(frames as u64, [1, 3, frames, 2 * side, side], &device.device);
                let video = video.mul_scalar(0.5);
                let whole = encoder.encode_full(video.clone());
                assert_eq!(whole.dims()[2], case.config.latent_frames(frames));
                assert_same(&device, encoder.encode(video), whole);
            }
        }
    }
}

/// Of one, five and nine frames: what is seen later changes nothing before it.
#[test]
fn a_longer_video_starts_like_a_shorter_one() {
    for device in devices().into_iter().filter(|device| !device.gpu) {
        for case in Case::all() {
            let encoder = case.encoder(&device.device);
            let video: Tensor<5> = case.golden.tensor("video", &device.device);
            let encoded: Tensor<5> = case.golden.tensor("encoded", &device.device);
            let whole = video.dims()[2];
            for frames in [1, 5, 9].into_iter().filter(|&frames| frames <= whole) {
                let count = case.config.latent_frames(frames);
                let expected = encoded.clone().slice_dim(2, 0..count);
                let (shape, values) = (expected.dims(), values(expected));
                let latents = encoder.encode(video.clone().slice_dim(2, 0..frames));
                assert_close(device.name, latents, (&shape, &values), Tolerance::module(&device));
            }
        }
    }
}

/// Of `frames` frames: `first`, grey ones and, if given and not the only one, `last`.
fn video_of_stills(first: Tensor<5>, last: Option<Tensor<5>>, frames: usize) -> Tensor<5> {
    let [_, _, _, h, w] = first.dims();
    let last = last.filter(|_| frames > 1);
    let grey = frames - 1 - last.iter().count();
    let device = first.device();
    let grey = (grey > 0).then(|| Tensor::zeros([1, 3, grey, h, w], &device));
    Tensor::cat([first].into_iter().chain(grey).chain(last).collect(), 2)
}

fn still(seed: u64, side: usize, device: &Device) -> Tensor<5> {
    tensor(seed, [1, 3, 1, side, side], device).mul_scalar(0.5)
}

fn assert_stills(case: &Case, device: &TestDevice, latent_frames: usize, with_last: bool) {
    let (encoder, side) = (case.encoder(&device.device), case.config.spatial_factor());
    let first = still(1, side, &device.device);
    let last = with_last.then(|| still(2, side, &device.device));
    let latents: Vec<_> = encoder.encode_stills(first.clone(), last.clone(), latent_frames).collect();
    assert_eq!(latents.len(), latent_frames);
    assert!(latents.iter().all(|latent| latent.dims() == [1, case.config.z_dim, 1, 1, 1]));
    let video = video_of_stills(first, last, case.config.frames(latent_frames));
    assert_same(device, Tensor::cat(latents, 2), encoder.encode(video));
}

/// The frame before the last is the last encoded one, the first left out, and one of many left out.
#[test]
fn stills_are_encoded_like_the_video_they_stand_for() {
    for device in devices().into_iter().filter(|device| !device.gpu) {
        for case in Case::all() {
            let memory = case.config.encoder_memory();
            let counts = [1, 2, memory + 3, memory + 2, memory + 1, 2 * memory + 5];
            // Naive loops take ten times as long.
            let counts = &counts[..if device.name == "ndarray" { 3 } else { counts.len() }];
            for &latent_frames in counts {
                assert_stills(&case, &device, latent_frames, true);
            }
        }
    }
}

/// What comes later changes nothing before it, so the longest video stands for all.
#[test]
fn a_still_at_the_beginning_is_encoded_like_its_video() {
    for device in devices().into_iter().filter(|device| !device.gpu) {
        for case in Case::all() {
            let (encoder, side) = (case.encoder(&device.device), case.config.spatial_factor());
            let (first, longest) = (still(1, side, &device.device), case.config.encoder_memory() + 5);
            let video = video_of_stills(first.clone(), None, case.config.frames(longest));
            let expected = encoder.encode_full(video);
            for latent_frames in [1, 2, longest] {
                let latents: Vec<_> = encoder.encode_stills(first.clone(), None, latent_frames).collect();
                assert_eq!(latents.len(), latent_frames);
                let expected = expected.clone().slice_dim(2, 0..latent_frames);
                assert_same(&device, Tensor::cat(latents, 2), expected);
            }
        }
    }
}

/// One case, against the host: a software adapter takes seconds for each.
#[test]
fn stills_are_encoded_on_an_adapter() {
    let [case, _] = Case::wan_2_1();
    let latent_frames = case.config.encoder_memory() + 3;
    let encode = |device: &Device| {
        let (encoder, side) = (case.encoder(device), case.config.spatial_factor());
        let last = Some(still(2, side, device));
        Tensor::<5>::cat(encoder.encode_stills(still(1, side, device), last, latent_frames).collect(), 2)
    };
    for device in devices().into_iter().filter(|device| device.gpu) {
        let expected = encode(&Device::flex());
        let (shape, expected) = (expected.dims(), values(expected));
        assert_close(device.name, encode(&device.device), (&shape, &expected), Tolerance::module(&device));
    }
}

#[test]
fn no_latent_frames_of_stills_are_none() {
    let ([case, _], device) = (Case::wan_2_2(), Device::flex());
    let first = still(1, case.config.spatial_factor(), &device);
    assert_eq!(case.encoder(&device).encode_stills(first, None, 0).count(), 0);
}

/// The definition of the memory, without the shortcut it allows.
#[test]
fn constant_frames_settle_after_the_memory_and_not_before() {
    let device = testkit::reference_device();
    for case in Case::all() {
        let memory = case.config.encoder_memory();
        let first = still(1, case.config.spatial_factor(), &device);
        let video = video_of_stills(first, None, case.config.frames(memory + 3));
        let latents = case.encoder(&device).encode_full(video);
        let latent = |frame: usize| values(latents.clone().slice_dim(2, frame..frame + 1));
        assert_eq!([memory + 1, memory + 2].map(latent), [latent(memory), latent(memory)]);
        // Through many layers the farthest frames fade below a rounding.
        let fade = if case.config.num_res_blocks == 1 { 1 } else { 6 };
        let touched = (1..=fade).any(|before| latent(memory - before) != latent(memory));
        assert!(touched, "{memory} is more than it takes");
    }
}

#[test]
fn the_released_encoders_have_a_memory() {
    assert_eq!(VaeConfig::wan_2_1().encoder_memory(), 29);
    assert_eq!(VaeConfig::wan_2_2().encoder_memory(), 29);
}

#[test]
fn every_stream_starts_afresh() {
    let device = Device::flex();
    for case in Case::all() {
        let decoder = case.decoder(&device);
        let latents = tensor(7, [1, case.config.z_dim, 2, 2, 2], &device);
        let first = values(decode(&decoder, latents.clone()));
        let mut interrupted = decoder.stream(latents.clone());
        interrupted.next();
        assert_eq!(first, values(decode(&decoder, latents)));
    }
}

#[test]
fn a_latent_frame_is_one_frame_first_and_four_after() {
    for ([case, _], side) in [(Case::wan_2_1(), 8), (Case::wan_2_2(), 16)] {
        let decoder = case.decoder(&Device::flex());
        let latents = tensor(3, [1, case.config.z_dim, 3, 1, 2], &Device::flex());
        let shapes: Vec<_> = decoder.stream(latents).map(|chunk| chunk.dims()).collect();
        assert_eq!(shapes, [1, 4, 4].map(|frames| [1, 3, frames, side, 2 * side]));
    }
}

#[test]
fn frame_counts_follow_the_stride() {
    let config = VaeConfig::wan_2_1();
    let table = [
        (1, 1),
        (5, 2),
        (9, 3),
        (13, 4),
        (17, 5),
        (21, 6),
        (33, 9),
        (41, 11),
        (49, 13),
        (81, 21),
        (121, 31),
        (161, 41),
    ];
    for (frames, latent_frames) in table {
        assert_eq!(config.latent_frames(frames), latent_frames);
        assert_eq!(config.frames(latent_frames), frames);
    }
    assert_eq!((config.latent_frames(0), config.frames(0)), (0, 0));
    assert_eq!(config.latent_frames(8), 2, "three leftover frames are dropped");
    assert_eq!((config.spatial_factor(), config.temporal_factor()), (8, 4));
    let config = VaeConfig::wan_2_2();
    assert_eq!((config.spatial_factor(), config.temporal_factor()), (16, 4));
}

#[test]
fn the_released_networks_have_the_published_number_of_parameters() {
    let device = Device::flex();
    for (config, count) in [(VaeConfig::wan_2_1(), 126_892_531), (VaeConfig::wan_2_2(), 704_688_668)] {
        assert_eq!(config.validate(), Ok(()));
        let encoder = VaeEncoder::new(&config, &device).num_params();
        let decoder = VaeDecoder::new(&config, &device).num_params();
        assert_eq!(encoder + decoder, count);
    }
}

#[test]
fn contradictory_configurations_are_refused() {
    let good = VaeConfig::wan_2_1();
    assert_eq!(good.validate(), Ok(()));
    let stages = VaeConfig { temporal_down: vec![true], ..good.clone() };
    assert_eq!(
        stages.validate(),
        Err(VaeConfigError::Length { name: "temporal_down", expected: 3, found: 1 })
    );
    let statistics = VaeConfig { latents_std: vec![1.0; 4], ..good.clone() };
    assert!(matches!(statistics.validate(), Err(VaeConfigError::Length { name: "latents_std", .. })));
    let odd = VaeConfig { base_dim: 3, dim_mult: vec![1, 1, 1, 1], ..good.clone() };
    assert_eq!(odd.validate(), Err(VaeConfigError::OddWidth { width: 3 }));
    let empty = VaeConfig { dim_mult: vec![], ..good.clone() };
    assert_eq!(empty.validate(), Err(VaeConfigError::Zero { name: "dim_mult" }));
    let pointless = VaeConfig { patch_size: 0, ..good };
    assert_eq!(pointless.validate(), Err(VaeConfigError::Zero { name: "patch_size" }));
    let good = VaeConfig::wan_2_2();
    let odd = VaeConfig { base_dim: 5, decoder_base_dim: None, ..good.clone() };
    assert_eq!(odd.validate(), Ok(()));
    let widening = VaeConfig { dim_mult: vec![1, 2, 4, 8], ..good };
    let stage = VaeConfigError::Shortcut { inputs: 640, outputs: 1280, factor: 1 };
    assert_eq!(widening.validate(), Err(stage));
}
