//! `vae_decode [--device cpu|wgpu] [--latent F,H,W] [--runs N]`: one full-size Wan 2.1 decode on random weights, as JSON
//! on stdout.

use burn::{prelude::*, tensor::Distribution};
use wan_benches::{Measurement, argument, device_argument, fill, latent_argument, time};
use wan_model::{VaeConfig, VaeDecoder};

fn main() {
    let (name, device) = device_argument();
    let config = VaeConfig::wan_2_1();
    let decoder = fill(VaeDecoder::new(&config, &device));
    let [f, h, w] = latent_argument();
    let noise = Tensor::<3>::random([config.z_dim * f, h, w], Distribution::Normal(0.0, 1.0), &device);
    let latents = noise.reshape([1, config.z_dim, f, h, w]);
    let mut pixels = 0;
    let seconds = time(argument("--runs", 1), || {
        pixels = 0;
        for video in decoder.stream(latents.clone()) {
            let [_, _, frames, height, width] = video.dims();
            pixels += frames * height * width;
            let mean = video.abs().mean().into_scalar::<f32>();
            assert!(mean > 0.0 && mean < 1.0, "the output is flat or saturated: {mean}");
        }
    });
    Measurement::new("Wan 2.1 VAE decode, f32".to_owned(), name, pixels, seconds, None).print();
}
