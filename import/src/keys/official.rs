//! The names of the authors' own code (`.pth` files and native safetensors).

use super::vae::{Half, Run};

pub(super) const DIT: &[(&str, &str)] = &[
    ("text_embedding.linear1.*", "text_embedding.0.*"),
    ("text_embedding.linear2.*", "text_embedding.2.*"),
    ("time_embedding.linear1.*", "time_embedding.0.*"),
    ("time_embedding.linear2.*", "time_embedding.2.*"),
    ("time_projection.*", "time_projection.1.*"),
    ("blocks.#.ffn.linear1.*", "blocks.#.ffn.0.*"),
    ("blocks.#.ffn.linear2.*", "blocks.#.ffn.2.*"),
    ("blocks.#.cross_attn.image.k.*", "blocks.#.cross_attn.k_img.*"),
    ("blocks.#.cross_attn.image.v.*", "blocks.#.cross_attn.v_img.*"),
    ("blocks.#.cross_attn.image.norm_k.*", "blocks.#.cross_attn.norm_k_img.*"),
    ("blocks.#.camera.linear1.*", "blocks.#.cam_injector_layer1.*"),
    ("blocks.#.camera.linear2.*", "blocks.#.cam_injector_layer2.*"),
    ("blocks.#.camera.scale.*", "blocks.#.cam_scale_layer.*"),
    ("blocks.#.camera.shift.*", "blocks.#.cam_shift_layer.*"),
    ("blocks.#.*", "blocks.#.*"),
    ("patch_embedding.*", "patch_embedding.*"),
    ("image_embedding.position", "img_emb.emb_pos"),
    ("image_embedding.norm_in.*", "img_emb.proj.0.*"),
    ("image_embedding.linear1.*", "img_emb.proj.1.*"),
    ("image_embedding.linear2.*", "img_emb.proj.3.*"),
    ("image_embedding.norm_out.*", "img_emb.proj.4.*"),
    ("camera.control.*", "patch_embedding_wancamctrl.*"),
    ("camera.linear1.*", "c2ws_hidden_states_layer1.*"),
    ("camera.linear2.*", "c2ws_hidden_states_layer2.*"),
    ("head.*", "head.*"),
];

pub(super) const UMT5: &[(&str, &str)] = &[
    ("blocks.#.relative_bias", "blocks.#.pos_embedding.embedding.weight"),
    ("blocks.#.ffn.gate.*", "blocks.#.ffn.gate.0.*"),
    ("blocks.#.ffn.up.*", "blocks.#.ffn.fc1.*"),
    ("blocks.#.ffn.down.*", "blocks.#.ffn.fc2.*"),
    ("blocks.#.*", "blocks.#.*"),
    ("norm.weight", "norm.weight"),
];
pub(super) const UMT5_UNUSED: &[&str] = &[UMT5_TOKENS[0]];
/// The token embedding.
pub(super) const UMT5_TOKENS: &[&str] = &["token_embedding.weight"];

/// Behind the prefix of the image half; the text half stands behind another.
pub(super) const CLIP: &[(&str, &str)] = &[
    ("embed.patch", "patch_embedding.weight"),
    ("embed.class", "cls_embedding"),
    ("embed.position", "pos_embedding"),
    ("pre_norm.*", "pre_norm.*"),
    ("blocks.#.attn.qkv.0.*", "transformer.#.attn.to_qkv.*"),
    ("blocks.#.attn.proj.*", "transformer.#.attn.proj.*"),
    ("blocks.#.mlp.linear1.*", "transformer.#.mlp.0.*"),
    ("blocks.#.mlp.linear2.*", "transformer.#.mlp.2.*"),
    ("blocks.#.norm1.*", "transformer.#.norm1.*"),
    ("blocks.#.norm2.*", "transformer.#.norm2.*"),
];
pub(super) const CLIP_BLOCKS: &str = "transformer";
pub(super) const CLIP_UNUSED: &[&str] = &["post_norm.*", "head"];

pub(super) static VAE: [Half; 2] = [
    Half {
        rules: &[
            ("conv_in.*", "encoder.conv1.*"),
            ("mid.res1/", "encoder.middle.0/"),
            ("mid.attn/", "encoder.middle.1/"),
            ("mid.res2/", "encoder.middle.2/"),
            ("norm_out.gamma", "encoder.head.0.gamma"),
            ("conv_out.*", "encoder.head.2.*"),
            ("quant_conv.*", "conv1.*"),
        ],
        runs: [
            Run::Flat("encoder.downsamples.#"),
            Run::Nested {
                block: "encoder.downsamples.#.downsamples.#",
                step: "encoder.downsamples.#.downsamples.#",
            },
        ],
        parts: VAE_PARTS,
        keys: &["encoder.*", "conv1.*"],
    },
    Half {
        rules: &[
            ("post_quant_conv.*", "conv2.*"),
            ("conv_in.*", "decoder.conv1.*"),
            ("mid.res1/", "decoder.middle.0/"),
            ("mid.attn/", "decoder.middle.1/"),
            ("mid.res2/", "decoder.middle.2/"),
            ("norm_out.gamma", "decoder.head.0.gamma"),
            ("conv_out.*", "decoder.head.2.*"),
        ],
        runs: [
            Run::Flat("decoder.upsamples.#"),
            Run::Nested { block: "decoder.upsamples.#.upsamples.#", step: "decoder.upsamples.#.upsamples.#" },
        ],
        parts: VAE_PARTS,
        keys: &["decoder.*", "conv2.*"],
    },
];

/// What residual blocks, attention and resampling hold.
const VAE_PARTS: &[(&str, &str)] = &[
    ("norm1.gamma", "residual.0.gamma"),
    ("conv1.*", "residual.2.*"),
    ("norm2.gamma", "residual.3.gamma"),
    ("conv2.*", "residual.6.*"),
    ("shortcut.*", "shortcut.*"),
    ("norm.gamma", "norm.gamma"),
    ("to_qkv.*", "to_qkv.*"),
    ("proj.*", "proj.*"),
    ("resample.*", "resample.1.*"),
    ("time_conv.*", "time_conv.*"),
];
