//! The video VAE within bounds of memory: pieces, histories in f16, tiles, chunks of any size.
#![allow(clippy::unwrap_used)]

use burn::prelude::*;
use testkit::{Golden, relative_l2, tensor};
use wan_model::{LayerMemory, Tiling, VaeConfig, VaeDecoder, VaeEncoder, VaeMemory};

/// One frame and the fewest rows at a time.
const SMALLEST: VaeMemory = VaeMemory { piece_bytes: 1, half: false, tiling: None };

/// Rounding weights and what they meet to f16 errs by up to 2^-12 of each value, some tens of convolutions deep.
const HALF: f64 = 3e-3;

struct Case {
    golden: Golden,
    config: VaeConfig,
}

impl Case {
    fn wan_2_1() -> Self {
        let config = VaeConfig { base_dim: 4, z_dim: 4, num_res_blocks: 1, ..VaeConfig::wan_2_1() };
        Self::new("vae", config)
    }

    fn wan_2_2() -> Self {
        let config = VaeConfig {
            base_dim: 4,
            decoder_base_dim: Some(3),
            z_dim: 5,
            num_res_blocks: 1,
            ..VaeConfig::wan_2_2()
        };
        Self::new("vae22", config)
    }

    fn new(name: &str, config: VaeConfig) -> Self {
        let golden = Golden::load(name);
        let (latents_mean, latents_std) = (golden.get("mean").1.to_vec(), golden.get("std").1.to_vec());
        Self { golden, config: VaeConfig { latents_mean, latents_std, ..config } }
    }

    fn both() -> [Self; 2] {
        [Self::wan_2_1(), Self::wan_2_2()]
    }

    fn encoder(&self, memory: VaeMemory, device: &Device) -> VaeEncoder {
        self.golden.fill("enc.", VaeEncoder::new(&self.config, device)).with_memory(memory)
    }

    fn decoder(&self, memory: VaeMemory, device: &Device) -> VaeDecoder {
        self.golden.fill("dec.", VaeDecoder::new(&self.config, device)).with_memory(memory)
    }

    fn video(&self, frames: usize, [rows, columns]: [usize; 2], device: &Device) -> Tensor<5> {
        let side = self.config.spatial_factor();
        tensor(5, [1, 3, frames, rows * side, columns * side], device).mul_scalar(0.5)
    }
}

fn values<const D: usize>(t: Tensor<D>) -> Vec<f32> {
    t.into_data().try_into_vec::<f32>().unwrap()
}

fn decode(decoder: &VaeDecoder, latents: &Tensor<5>) -> Tensor<5> {
    Tensor::cat(decoder.stream(latents.clone()).collect(), 2)
}

fn tiled(rows: usize, columns: usize, overlap: usize) -> VaeMemory {
    VaeMemory { tiling: Some(Tiling { rows, columns, overlap }), ..VaeMemory::default() }
}

#[test]
fn pieces_of_any_size_give_the_same_video() {
    for device in [testkit::reference_device(), Device::flex()] {
        for case in Case::both() {
            let latents = tensor(2, [1, case.config.z_dim, 3, 2, 3], &device);
            let [whole, pieces] = [VaeMemory::default(), SMALLEST]
                .map(|memory| values(decode(&case.decoder(memory, &device), &latents)));
            assert!(whole == pieces, "decoded");
            let video = case.video(9, [2, 1], &device);
            let [whole, pieces] = [VaeMemory::default(), SMALLEST]
                .map(|memory| values(case.encoder(memory, &device).encode(video.clone())));
            assert!(whole == pieces, "encoded");
        }
    }
}

/// Tiny strips may take another form of the convolution than the whole frame.
#[test]
fn strips_of_rows_give_the_same_video() {
    for device in testkit::devices() {
        let case = Case::wan_2_1();
        let latents = tensor(2, [1, case.config.z_dim, 2, 19, 1], &device.device);
        let [whole, strips] = [VaeMemory::default(), SMALLEST]
            .map(|memory| values(decode(&case.decoder(memory, &device.device), &latents)));
        let error = relative_l2(&strips, &whole);
        assert!(error < 3e-6, "{}: {error:e}", device.name);
    }
}

#[test]
fn half_precision_changes_little() {
    let (device, half) = (Device::flex(), VaeMemory { half: true, ..SMALLEST });
    for case in Case::both() {
        let latents = tensor(3, [1, case.config.z_dim, 3, 6, 5], &device);
        let [exact, rounded] =
            [SMALLEST, half].map(|memory| values(decode(&case.decoder(memory, &device), &latents)));
        let error = relative_l2(&rounded, &exact);
        assert!(error > 0.0 && error < HALF, "decoded: {error:e}");
        let video = case.video(9, [2, 2], &device);
        let [exact, rounded] =
            [SMALLEST, half].map(|memory| values(case.encoder(memory, &device).encode(video.clone())));
        let error = relative_l2(&rounded, &exact);
        assert!(error > 0.0 && error < HALF, "encoded: {error:e}");
    }
}

#[test]
fn chunks_of_any_size_are_encoded_alike() {
    let (device, case) = (Device::flex(), Case::wan_2_1());
    let (video, encoder) = (case.video(11, [1, 2], &device), case.encoder(VaeMemory::default(), &device));
    let expected = values(encoder.encode_full(video.clone()));
    for sizes in [vec![11], vec![1; 11], vec![1, 4, 4, 2], vec![3, 7, 1], vec![5, 6]] {
        let mut start = 0;
        let chunks = sizes.iter().map(|&size| {
            start += size;
            video.clone().slice_dim(2, start - size..start)
        });
        let latents: Vec<_> = encoder.encode_stream(chunks).collect();
        assert_eq!(latents.len(), 3, "two frames are left over");
        let error = relative_l2(&values(Tensor::cat(latents, 2)), &expected);
        assert!(error < 3e-6, "{sizes:?}: {error:e}");
    }
    assert_eq!(encoder.encode_stream([]).count(), 0);
}

#[test]
fn a_tile_of_the_whole_frame_changes_nothing() {
    let device = Device::flex();
    for case in Case::both() {
        let latents = tensor(3, [1, case.config.z_dim, 2, 3, 5], &device);
        let [plain, one] = [VaeMemory::default(), tiled(8, 5, 2)]
            .map(|memory| values(decode(&case.decoder(memory, &device), &latents)));
        assert!(plain == one, "decoded");
        let video = case.video(5, [3, 2], &device);
        let [plain, one] = [VaeMemory::default(), tiled(3, 3, 1)]
            .map(|memory| values(case.encoder(memory, &device).encode(video.clone())));
        assert!(plain == one, "encoded");
    }
}

/// Rows and columns fade slowly, frames even more so.
fn smooth_latents(case: &Case, [t, h, w]: [usize; 3], device: &Device) -> Tensor<5> {
    let value = |c: usize, t: usize, y: usize, x: usize| {
        let phase = c as f32 * 1.7 + t as f32 * 0.2;
        (y as f32 * 0.25 + phase).sin() + (x as f32 * 0.2 - phase).cos()
    };
    let z = case.config.z_dim;
    let at = |n: usize| value(n / (t * h * w), n / (h * w) % t, n / w % h, n % w);
    let all: Vec<f32> = (0..z * t * h * w).map(at).collect();
    Tensor::from_data(TensorData::new(all, [1, z, t, h, w]), device)
}

/// How far neighbouring columns differ in what tiles change, on average over rows and frames.
fn steps(video: &Tensor<5>, exact: &Tensor<5>) -> Vec<f32> {
    let change = video.clone() - exact.clone();
    let [_, c, t, h, w] = change.dims();
    let step = change.clone().slice_dim(4, 1..w) - change.slice_dim(4, 0..w - 1);
    values(step.abs().reshape([c * t * h, w - 1]).mean_dim(0))
}

/// Where tiles share columns, there is no step like that of tiles cut off, and none beyond what the attention changes
/// elsewhere.
#[test]
fn seams_fade() {
    let device = Device::flex();
    for case in Case::both() {
        let latents = smooth_latents(&case, [2, 6, 40], &device);
        let [exact, cut, blended] = [VaeMemory::default(), tiled(6, 20, 0), tiled(6, 24, 8)]
            .map(|memory| decode(&case.decoder(memory, &device), &latents));
        assert_eq!(blended.dims(), exact.dims());
        let (hard, soft) = (steps(&cut, &exact), steps(&blended, &exact));
        let side = case.config.spatial_factor();
        let worst = |steps: &[f32]| steps.iter().copied().fold(0f32, f32::max);
        let [hard_seam, soft_seam] = [&hard, &soft].map(|steps| worst(&steps[16 * side..24 * side]));
        assert!(soft_seam > 0.0 && soft_seam < hard_seam / 3.0, "{soft_seam} to {hard_seam}");
        let elsewhere = worst(&soft[..16 * side]).max(worst(&soft[24 * side..]));
        assert!(soft_seam < elsewhere, "{soft_seam} to {elsewhere}");
    }
}

#[test]
fn tiles_of_odd_sizes_come_close() {
    let device = Device::flex();
    for case in Case::both() {
        let latents = smooth_latents(&case, [2, 13, 17], &device);
        let [exact, cut, blended] = [VaeMemory::default(), tiled(6, 7, 0), tiled(7, 9, 3)]
            .map(|memory| values(decode(&case.decoder(memory, &device), &latents)));
        let [hard, soft] = [cut, blended].map(|video| relative_l2(&video, &exact));
        assert!(soft > 0.0 && soft < hard, "decoded: {soft} to {hard}");
        let video = decode(&case.decoder(VaeMemory::default(), &device), &latents);
        let [exact, cut, blended] = [VaeMemory::default(), tiled(6, 7, 0), tiled(7, 9, 3)]
            .map(|memory| case.encoder(memory, &device).encode(video.clone()));
        assert_eq!(blended.dims(), exact.dims());
        let exact = values(exact);
        let [hard, soft] = [cut, blended].map(|latents| relative_l2(&values(latents), &exact));
        assert!(soft > 0.0 && soft < hard, "encoded: {soft} to {hard}");
    }
}

#[test]
fn stills_are_encoded_in_tiles_like_their_video() {
    let (device, case) = (Device::flex(), Case::wan_2_1());
    let encoder = case.encoder(tiled(2, 2, 1), &device);
    let first = case.video(1, [3, 2], &device);
    let grey = first.zeros_like().repeat_dim(2, 4);
    let expected = values(encoder.encode(Tensor::cat(vec![first.clone(), grey], 2)));
    let latents = values(Tensor::cat(encoder.encode_stills(first, None, 2).collect(), 2));
    assert!(latents == expected);
}

/// Through the host, as a file would hold it.
fn copied(memory: Vec<Vec<LayerMemory>>, device: &Device) -> Vec<Vec<LayerMemory>> {
    let copy = |frame: Tensor<5>| {
        let (data, dtype) = (frame.to_data(), frame.dtype());
        Tensor::from_data(data, (device, dtype))
    };
    let layer = |layer: LayerMemory| LayerMemory {
        started: layer.started,
        frames: layer.frames.into_iter().map(copy).collect(),
    };
    memory.into_iter().map(|tile| tile.into_iter().map(layer).collect()).collect()
}

#[test]
fn a_decoder_goes_on_from_its_memory_to_the_same_bits() {
    let half = VaeMemory { half: true, ..SMALLEST };
    for device in testkit::devices() {
        let device = &device.device;
        for case in Case::both() {
            let latents = tensor(3, [1, case.config.z_dim, 4, 5, 6], device);
            for memory in [VaeMemory::default(), half, tiled(4, 4, 2)] {
                let decoder = case.decoder(memory, device);
                let whole: Vec<_> = decoder.stream(latents.clone()).map(values).collect();
                for stop in 0..=4 {
                    let mut stream = decoder.stream(latents.clone());
                    assert_eq!(stream.by_ref().take(stop).count(), stop);
                    let kept = copied(stream.memory(), device);
                    let rest = decoder.stream_from(latents.clone(), stream.frame(), kept).unwrap();
                    assert_eq!(rest.len(), 4 - stop);
                    assert!(rest.map(values).eq(whole[stop..].iter().cloned()), "{memory:?} after {stop}");
                }
            }
            let stream = case.decoder(tiled(4, 4, 2), device).stream(latents.clone()).memory();
            let whole = case.decoder(VaeMemory::default(), device);
            assert!(whole.stream_from(latents, 1, stream).is_none(), "that of other tiles");
        }
    }
}
