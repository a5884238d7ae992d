//! A video's length costs the VAE no memory: what it holds does not grow with the frames that pass.
#![allow(clippy::unwrap_used)]

use burn::prelude::*;
use testkit::{
    Golden,
    counting::{Counting, alone, most_held},
    tensor,
};
use wan_model::{VaeConfig, VaeDecoder, VaeEncoder, VaeMemory};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Latent rows and columns of a frame: large enough for one frame's activations to stand out.
const SIDES: [usize; 2] = [20, 16];

/// Of one frame, in bytes a value: the least a leak would be.
const FRAME: usize = 4 * 3 * 8 * 8 * SIDES[0] * SIDES[1];

fn config(golden: &Golden) -> VaeConfig {
    let (latents_mean, latents_std) = (golden.get("mean").1.to_vec(), golden.get("std").1.to_vec());
    let base = VaeConfig { base_dim: 4, z_dim: 4, num_res_blocks: 1, ..VaeConfig::wan_2_1() };
    VaeConfig { latents_mean, latents_std, ..base }
}

fn memory(half: bool) -> VaeMemory {
    VaeMemory { half, ..VaeMemory::default() }
}

#[test]
fn a_longer_decode_holds_no_more() {
    let (_turn, device, golden) = (alone(), Device::flex(), Golden::load("vae"));
    for half in [false, true] {
        let config = config(&golden);
        let decoder = golden.fill("dec.", VaeDecoder::new(&config, &device)).with_memory(memory(half));
        let most = |frames: usize| {
            let latents = tensor(2, [1, config.z_dim, frames, SIDES[0], SIDES[1]], &device);
            let size = latents.shape().num_elements() * 4;
            let (count, most) =
                most_held(|| decoder.stream(latents).map(|video| video.dims()[2]).sum::<usize>());
            assert_eq!(count, config.frames(frames));
            // The latents themselves are few, but there are several forms of them.
            most.saturating_sub(4 * size)
        };
        most(2);
        let (short, long) = (most(4), most(10));
        assert!(short > 10 * FRAME, "histories are held: {short}");
        assert!(long < short + FRAME, "half: {half}: {short} bytes for 13 frames, {long} for 37");
    }
}

#[test]
fn a_longer_encode_holds_no_more() {
    let (_turn, device, golden) = (alone(), Device::flex(), Golden::load("vae"));
    let config = config(&golden);
    let encoder = golden.fill("enc.", VaeEncoder::new(&config, &device)).with_memory(memory(false));
    let most = |frames: usize| {
        let [height, width] = SIDES.map(|side| side * config.spatial_factor());
        let video = (0..frames).map(|seed| tensor(seed as u64, [1, 3, 1, height, width], &device));
        most_held(|| encoder.encode_stream(video).count()).1
    };
    most(5);
    let (short, long) = (most(13), most(37));
    assert!(long < short + FRAME, "{short} bytes for 13 frames, {long} for 37");
}
