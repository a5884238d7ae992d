//! `step [--device cpu|wgpu] [--layers N] [--latent F,H,W] [--runs N]`: one forward pass of T2V-1.3B on random
//! weights, as JSON on stdout.

use burn::{prelude::*, tensor::Distribution};
use wan_benches::{Measurement, argument, device_argument, fill, latent_argument, time};
use wan_model::{WanConfig, WanTransformer};

/// Multiply-adds count two; self- and cross-attention, projections and feed-forward of every block.
fn tflop(config: &WanConfig, tokens: usize) -> f64 {
    let (l, d, f, k) = (tokens as f64, config.dim as f64, config.ffn_dim as f64, config.text_len as f64);
    let block = 12.0 * l * d * d + 4.0 * l * l * d + 4.0 * k * d * d + 4.0 * l * k * d + 4.0 * l * d * f;
    config.layers as f64 * block / 1e12
}

fn main() {
    let (name, device) = device_argument();
    let [f, h, w] = latent_argument();
    let config = WanConfig { layers: argument("--layers", 30), ..WanConfig::t2v_1_3b() };
    let model = fill(WanTransformer::new(&config, &device));
    let random = |shape: [usize; 3]| Tensor::<3>::random(shape, Distribution::Default, &device);
    let context = model.embed_text(random([1, 20, config.text_dim]));
    let x = random([16, f * h, w]).reshape([1, 16, f, h, w]);
    let rope = model.rope([f, h, w], &device);
    let seconds = time(argument("--runs", 3), || {
        let y = model.forward(x.clone(), 500.0, &context, &rope).into_data().convert::<f32>();
        let sum: f32 = y.as_slice::<f32>().map(|v| v.iter().sum()).unwrap_or(f32::NAN);
        assert!(sum.is_finite(), "the output is not finite");
    });
    let tokens = f * h * w / 4;
    let what = format!("one forward pass, T2V-1.3B, {} layers, f32", config.layers);
    Measurement::new(what, name, tokens, seconds, Some(tflop(&config, tokens))).print();
}
