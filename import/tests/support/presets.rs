//! The key lists of transformers with branches, written out from the published layer tables. Of speech and animation,
//! one mark each.

use wan_import::Naming;
use wan_model::{ModelKind, WanConfig};

use super::{
    Shapes,
    wan::{Dit, conv, linear},
};

/// A preset's file; LingBot's has no diffusers names.
pub fn shapes(config: &WanConfig, naming: Naming) -> Shapes {
    let &WanConfig { dim, ffn_dim, layers, in_dim, out_dim, .. } = config;
    let mut shapes = Dit { dim, ffn_dim, layers, in_dim, out_dim }.shapes(naming);
    match config.kind {
        ModelKind::ClipI2v { image_dim } => image(&mut shapes, config, image_dim, naming),
        ModelKind::Flf2v { image_dim, image_len } => {
            image(&mut shapes, config, image_dim, naming);
            let position = match naming {
                Naming::Official => "img_emb.emb_pos",
                Naming::Diffusers => "condition_embedder.image_embedder.pos_embed",
            };
            shapes.add(position, &[1, image_len, image_dim]);
        }
        ModelKind::LingBot { control_dim, .. } => camera(&mut shapes, config, control_dim),
        ModelKind::Vace { ref layers, in_dim } => vace(&mut shapes, config, layers.len(), in_dim, naming),
        ModelKind::S2v => shapes.add("casual_audio_encoder.weights", &[1, 25, 1, 1]),
        ModelKind::Animate => shapes.add("face_adapter.fuser_blocks.0.q_norm.weight", &[128]),
        ModelKind::T2v | ModelKind::I2v | ModelKind::Ti2v => {}
    }
    shapes
}

fn image(shapes: &mut Shapes, config: &WanConfig, width: usize, naming: Naming) {
    let (d, official) = (config.dim, naming == Naming::Official);
    let name = |a: &'static str, b: &'static str| if official { a } else { b };
    let embed = |part: &str| format!("{}.{part}", name("img_emb.proj", "condition_embedder.image_embedder"));
    conv(shapes, &embed(name("0", "norm1")), &[width]);
    linear(shapes, &embed(name("1", "ff.net.0.proj")), width, width);
    linear(shapes, &embed(name("3", "ff.net.2")), d, width);
    conv(shapes, &embed(name("4", "norm2")), &[d]);
    for n in 0..config.layers {
        let attention = format!("blocks.{n}.{}", name("cross_attn", "attn2"));
        linear(shapes, &format!("{attention}.{}", name("k_img", "add_k_proj")), d, d);
        linear(shapes, &format!("{attention}.{}", name("v_img", "add_v_proj")), d, d);
        shapes.add(format!("{attention}.{}.weight", name("norm_k_img", "norm_added_k")), &[d]);
    }
}

/// Blocks like the others, each with a projection behind it, and the first with one before.
fn vace(shapes: &mut Shapes, config: &WanConfig, hints: usize, in_dim: usize, naming: Naming) {
    let &WanConfig { dim, ffn_dim, .. } = config;
    let official = naming == Naming::Official;
    let [before, after] = if official { ["before_proj", "after_proj"] } else { ["proj_in", "proj_out"] };
    conv(shapes, "vace_patch_embedding", &[dim, in_dim, 1, 2, 2]);
    for n in 0..hints {
        let block = format!("vace_blocks.{n}");
        Dit { ffn_dim, dim, ..Dit::T2V_14B }.block(shapes, &block, official);
        linear(shapes, &format!("{block}.{after}"), dim, dim);
    }
    linear(shapes, &format!("vace_blocks.0.{before}"), dim, dim);
}

/// Each token reads `control_dim` values of 2x2 cells of 8x8 pixels.
fn camera(shapes: &mut Shapes, config: &WanConfig, control_dim: usize) {
    let d = config.dim;
    linear(shapes, "patch_embedding_wancamctrl", d, control_dim * 256);
    linear(shapes, "c2ws_hidden_states_layer1", d, d);
    linear(shapes, "c2ws_hidden_states_layer2", d, d);
    for n in 0..config.layers {
        for part in ["cam_injector_layer1", "cam_injector_layer2", "cam_scale_layer", "cam_shift_layer"] {
            linear(shapes, &format!("blocks.{n}.{part}"), d, d);
        }
    }
}
