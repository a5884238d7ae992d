//! The names of the diffusers library, and of transformers for the text and image encoders.

use super::vae::{Half, Run};

pub(super) const DIT: &[(&str, &str)] = &[
    ("text_embedding.linear1.*", "condition_embedder.text_embedder.linear_1.*"),
    ("text_embedding.linear2.*", "condition_embedder.text_embedder.linear_2.*"),
    ("time_embedding.linear1.*", "condition_embedder.time_embedder.linear_1.*"),
    ("time_embedding.linear2.*", "condition_embedder.time_embedder.linear_2.*"),
    ("time_projection.*", "condition_embedder.time_proj.*"),
    ("blocks.#.modulation", "blocks.#.scale_shift_table"),
    ("blocks.#.self_attn.q.*", "blocks.#.attn1.to_q.*"),
    ("blocks.#.self_attn.k.*", "blocks.#.attn1.to_k.*"),
    ("blocks.#.self_attn.v.*", "blocks.#.attn1.to_v.*"),
    ("blocks.#.self_attn.o.*", "blocks.#.attn1.to_out.0.*"),
    ("blocks.#.self_attn.*", "blocks.#.attn1.*"),
    ("blocks.#.cross_attn.q.*", "blocks.#.attn2.to_q.*"),
    ("blocks.#.cross_attn.k.*", "blocks.#.attn2.to_k.*"),
    ("blocks.#.cross_attn.v.*", "blocks.#.attn2.to_v.*"),
    ("blocks.#.cross_attn.o.*", "blocks.#.attn2.to_out.0.*"),
    ("blocks.#.cross_attn.image.k.*", "blocks.#.attn2.add_k_proj.*"),
    ("blocks.#.cross_attn.image.v.*", "blocks.#.attn2.add_v_proj.*"),
    ("blocks.#.cross_attn.image.norm_k.*", "blocks.#.attn2.norm_added_k.*"),
    ("blocks.#.cross_attn.*", "blocks.#.attn2.*"),
    // The norm before cross-attention is third in the authors' count and second in this one.
    ("blocks.#.norm3.*", "blocks.#.norm2.*"),
    ("blocks.#.ffn.linear1.*", "blocks.#.ffn.net.0.proj.*"),
    ("blocks.#.ffn.linear2.*", "blocks.#.ffn.net.2.*"),
    ("patch_embedding.*", "patch_embedding.*"),
    ("image_embedding.position", "condition_embedder.image_embedder.pos_embed"),
    ("image_embedding.norm_in.*", "condition_embedder.image_embedder.norm1.*"),
    ("image_embedding.linear1.*", "condition_embedder.image_embedder.ff.net.0.proj.*"),
    ("image_embedding.linear2.*", "condition_embedder.image_embedder.ff.net.2.*"),
    ("image_embedding.norm_out.*", "condition_embedder.image_embedder.norm2.*"),
    ("head.modulation", "scale_shift_table"),
    ("head.head.*", "proj_out.*"),
];

pub(super) const UMT5: &[(&str, &str)] = &[
    ("blocks.#.relative_bias", "encoder.block.#.layer.0.SelfAttention.relative_attention_bias.weight"),
    ("blocks.#.norm1.weight", "encoder.block.#.layer.0.layer_norm.weight"),
    ("blocks.#.attn.*", "encoder.block.#.layer.0.SelfAttention.*"),
    ("blocks.#.norm2.weight", "encoder.block.#.layer.1.layer_norm.weight"),
    ("blocks.#.ffn.gate.*", "encoder.block.#.layer.1.DenseReluDense.wi_0.*"),
    ("blocks.#.ffn.up.*", "encoder.block.#.layer.1.DenseReluDense.wi_1.*"),
    ("blocks.#.ffn.down.*", "encoder.block.#.layer.1.DenseReluDense.wo.*"),
    ("norm.weight", "encoder.final_layer_norm.weight"),
];
/// The token embedding under either of its names, and the tokenizer that some repackagings put beside it.
pub(super) const UMT5_UNUSED: &[&str] = &[UMT5_TOKENS[0], UMT5_TOKENS[1], "spiece_model"];
pub(super) const UMT5_TOKENS: &[&str] = &["shared.weight", "encoder.embed_tokens.weight"];

pub(super) const CLIP: &[(&str, &str)] = &[
    ("embed.patch", "embeddings.patch_embedding.weight"),
    ("embed.class", "embeddings.class_embedding"),
    ("embed.position", "embeddings.position_embedding.weight"),
    // The library's own spelling.
    ("pre_norm.*", "pre_layrnorm.*"),
    ("blocks.#.attn.qkv.0.*", "encoder.layers.#.self_attn.q_proj.*"),
    ("blocks.#.attn.qkv.1.*", "encoder.layers.#.self_attn.k_proj.*"),
    ("blocks.#.attn.qkv.2.*", "encoder.layers.#.self_attn.v_proj.*"),
    ("blocks.#.attn.proj.*", "encoder.layers.#.self_attn.out_proj.*"),
    ("blocks.#.mlp.linear1.*", "encoder.layers.#.mlp.fc1.*"),
    ("blocks.#.mlp.linear2.*", "encoder.layers.#.mlp.fc2.*"),
    ("blocks.#.norm1.*", "encoder.layers.#.layer_norm1.*"),
    ("blocks.#.norm2.*", "encoder.layers.#.layer_norm2.*"),
];
pub(super) const CLIP_BLOCKS: &str = "encoder.layers";
/// The projection into the space shared with text, and the row of indices that old versions wrote.
pub(super) const CLIP_UNUSED: &[&str] =
    &["post_layernorm.*", "visual_projection.*", "embeddings.position_ids"];

pub(super) static VAE: [Half; 2] = [
    Half {
        rules: &[
            ("conv_in.*", "encoder.conv_in.*"),
            ("mid.res1/", "encoder.mid_block.resnets.0/"),
            ("mid.attn/", "encoder.mid_block.attentions.0/"),
            ("mid.res2/", "encoder.mid_block.resnets.1/"),
            ("norm_out.gamma", "encoder.norm_out.gamma"),
            ("conv_out.*", "encoder.conv_out.*"),
            ("quant_conv.*", "quant_conv.*"),
        ],
        runs: [
            Run::Flat("encoder.down_blocks.#"),
            Run::Nested {
                block: "encoder.down_blocks.#.resnets.#",
                step: "encoder.down_blocks.#.downsampler",
            },
        ],
        parts: VAE_PARTS,
        keys: &["encoder.*", "quant_conv.*"],
    },
    Half {
        rules: &[
            ("post_quant_conv.*", "post_quant_conv.*"),
            ("conv_in.*", "decoder.conv_in.*"),
            ("mid.res1/", "decoder.mid_block.resnets.0/"),
            ("mid.attn/", "decoder.mid_block.attentions.0/"),
            ("mid.res2/", "decoder.mid_block.resnets.1/"),
            ("norm_out.gamma", "decoder.norm_out.gamma"),
            ("conv_out.*", "decoder.conv_out.*"),
        ],
        runs: [
            Run::Nested { block: "decoder.up_blocks.#.resnets.#", step: "decoder.up_blocks.#.upsamplers.0" },
            Run::Nested { block: "decoder.up_blocks.#.resnets.#", step: "decoder.up_blocks.#.upsampler" },
        ],
        parts: VAE_PARTS,
        keys: &["decoder.*", "post_quant_conv.*"],
    },
];

const VAE_PARTS: &[(&str, &str)] = &[
    ("norm1.gamma", "norm1.gamma"),
    ("conv1.*", "conv1.*"),
    ("norm2.gamma", "norm2.gamma"),
    ("conv2.*", "conv2.*"),
    ("shortcut.*", "conv_shortcut.*"),
    ("norm.gamma", "norm.gamma"),
    ("to_qkv.*", "to_qkv.*"),
    ("proj.*", "proj.*"),
    ("resample.*", "resample.1.*"),
    ("time_conv.*", "time_conv.*"),
];
