//! Key tables and fingerprints against the full key lists of the released networks.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;

use support::{Shapes, clip, vae22, wan};
use wan_import::{
    DitVariant, Fingerprint, ImportError, KeyTable, Kind,
    Naming::{Diffusers, Official},
    TensorSource, VaeStages,
};

const WAN_2_1: VaeStages = VaeStages { residual: false, res_blocks: 2 };
const WAN_2_2: VaeStages = VaeStages { residual: true, res_blocks: 2 };

/// Every module path has a key of the file, no two the same one, and only `left` of the file's keys are left.
fn assert_covers(table: &KeyTable, paths: &[String], file: &Shapes, left: usize) {
    let mut used = BTreeSet::new();
    for path in paths {
        let key = table.file_key(path).unwrap_or_else(|| panic!("{path} has no key"));
        assert!(file.info(&key).is_some(), "{path}: the file has no {key}");
        assert!(used.insert(key.clone()), "{path}: {key} is used twice");
    }
    let unused: Vec<_> = file.names().into_iter().filter(|name| !used.contains(*name)).collect();
    assert_eq!(unused.len(), left, "{unused:?}");
    let refused: Vec<_> = unused.iter().filter(|name| !table.allows_unused(name)).collect();
    assert!(refused.is_empty(), "{refused:?}");
}

#[test]
fn the_key_lists_have_the_published_number_of_parameters() {
    for naming in [Official, Diffusers] {
        assert_eq!(wan::Dit::T2V_1_3B.shapes(naming).elements(), 1_418_996_800);
        assert_eq!(wan::Dit::T2V_14B.shapes(naming).elements(), 14_288_491_584);
        assert_eq!(wan::umt5(naming).elements(), 5_680_910_336);
        assert_eq!(wan::vae(naming).elements(), 126_892_531);
        assert_eq!(vae22::shapes(naming).elements(), 704_688_668);
    }
    assert_eq!(clip::shapes(Official).elements(), 632_076_800);
    // Without the projection to text.
    assert_eq!(clip::shapes(Diffusers).elements(), 632_076_800 - 1280 * 1024);
}

#[test]
fn transformer_tables_cover_both_namings() {
    for naming in [Official, Diffusers] {
        for dit in [wan::Dit::T2V_1_3B, wan::Dit::T2V_14B] {
            assert_covers(&KeyTable::dit(naming, ""), &dit.paths(), &dit.shapes(naming), 0);
        }
    }
    let (prefix, dit) = ("model.diffusion_model.", wan::Dit::T2V_1_3B);
    let mut file = dit.shapes(Official).prefixed(prefix);
    file.add("vae.conv1.weight", &[1]);
    assert_covers(&KeyTable::dit(Official, prefix), &dit.paths(), &file, 1);
}

/// Renaming must keep apart what has the same shape: each pair is from the published tables.
#[test]
fn equal_shapes_are_not_swapped() {
    let dit = KeyTable::dit(Diffusers, "");
    for (path, key) in [
        ("blocks.7.norm3.weight", "blocks.7.norm2.weight"),
        ("blocks.7.self_attn.o.bias", "blocks.7.attn1.to_out.0.bias"),
        ("blocks.7.cross_attn.norm_k.weight", "blocks.7.attn2.norm_k.weight"),
        ("head.modulation", "scale_shift_table"),
        ("blocks.7.modulation", "blocks.7.scale_shift_table"),
    ] {
        assert_eq!(dit.file_key(path).unwrap(), key);
    }
    let decoder = KeyTable::vae_decoder(Diffusers, WAN_2_1);
    for (path, key) in [
        ("up.2.conv1.weight", "decoder.up_blocks.0.resnets.2.conv1.weight"),
        ("up.3.resample.weight", "decoder.up_blocks.0.upsamplers.0.resample.1.weight"),
        ("up.7.time_conv.bias", "decoder.up_blocks.1.upsamplers.0.time_conv.bias"),
        ("up.14.norm2.gamma", "decoder.up_blocks.3.resnets.2.norm2.gamma"),
    ] {
        assert_eq!(decoder.file_key(path).unwrap(), key);
    }
    for (naming, path, key) in [
        (Official, "up.2.conv1.weight", "decoder.upsamples.0.upsamples.2.residual.2.weight"),
        (Official, "up.8.conv1.weight", "decoder.upsamples.2.upsamples.0.residual.2.weight"),
        (Official, "up.7.time_conv.bias", "decoder.upsamples.1.upsamples.3.time_conv.bias"),
        (Diffusers, "up.8.conv1.weight", "decoder.up_blocks.2.resnets.0.conv1.weight"),
        (Diffusers, "up.7.time_conv.bias", "decoder.up_blocks.1.upsampler.time_conv.bias"),
    ] {
        assert_eq!(KeyTable::vae_decoder(naming, WAN_2_2).file_key(path).unwrap(), key);
    }
    for (naming, path, key) in [
        (Official, "down.5.resample.bias", "encoder.downsamples.1.downsamples.2.resample.1.bias"),
        (Diffusers, "down.5.resample.bias", "encoder.down_blocks.1.downsampler.resample.1.bias"),
        (Diffusers, "down.10.norm2.gamma", "encoder.down_blocks.3.resnets.1.norm2.gamma"),
    ] {
        assert_eq!(KeyTable::vae_encoder(naming, WAN_2_2).file_key(path).unwrap(), key);
    }
    let umt5 = KeyTable::umt5(Official);
    assert_eq!(umt5.file_key("blocks.3.ffn.gate.weight").unwrap(), "blocks.3.ffn.gate.0.weight");
    assert_eq!(umt5.file_key("blocks.3.ffn.up.weight").unwrap(), "blocks.3.ffn.fc1.weight");
    for path in ["blocks.x.norm3.weight", "blocks", "", "blocks.1", "token_embedding.weight"] {
        assert_eq!(umt5.file_key(path), None, "{path}");
    }
}

#[test]
fn text_encoder_and_vae_tables_cover_both_namings() {
    for naming in [Official, Diffusers] {
        assert_covers(&KeyTable::umt5(naming), &wan::umt5_paths(), &wan::umt5(naming), 1);
        for (file, [encoder, decoder], stages) in
            [(wan::vae(naming), wan::vae_paths(), WAN_2_1), (vae22::shapes(naming), vae22::paths(), WAN_2_2)]
        {
            assert_covers(&KeyTable::vae_encoder(naming, stages), &encoder, &file, decoder.len());
            assert_covers(&KeyTable::vae_decoder(naming, stages), &decoder, &file, encoder.len());
        }
    }
    let mut doubled = wan::umt5(Diffusers);
    doubled.add("encoder.embed_tokens.weight", &[256384, 4096]);
    assert_covers(&KeyTable::umt5(Diffusers), &wan::umt5_paths(), &doubled, 2);
}

#[test]
fn image_encoder_tables_cover_every_naming() {
    // The last block and what follows it are not part of the module.
    let (paths, mut file) = (clip::paths(Official), clip::shapes(Official));
    file.add("textual.token_embedding.weight", &[1]);
    file.add("log_scale", &[]);
    assert_covers(&KeyTable::clip(Official, "visual.", 32), &paths, &file, 12 + 3 + 2);
    let (paths, mut file) = (clip::paths(Diffusers), clip::shapes(Diffusers));
    file.add("vision_model.embeddings.position_ids", &[1, 257]);
    file.add("visual_projection.weight", &[1024, 1280]);
    assert_covers(&KeyTable::clip(Diffusers, "vision_model.", 32), &paths, &file, 16 + 2 + 2);
    assert_covers(&KeyTable::clip(Diffusers, "", 32), &paths, &clip::unprefixed(), 16 + 2);
    let table = KeyTable::clip(Official, "visual.", 32);
    assert!(!table.allows_unused("visual.transformer.3.norm1.weight"));
    let table = KeyTable::clip(Diffusers, "", 32);
    assert_eq!(table.file_key("blocks.3.attn.qkv.1.bias").unwrap(), "encoder.layers.3.self_attn.k_proj.bias");
    assert_eq!(table.file_key("blocks.3.attn.qkv.2.bias").unwrap(), "encoder.layers.3.self_attn.v_proj.bias");
    assert_eq!(table.file_key("blocks.3.mlp.linear2.bias").unwrap(), "encoder.layers.3.mlp.fc2.bias");
}

#[test]
fn transformers_are_recognised() {
    for naming in [Official, Diffusers] {
        for prefix in ["", "diffusion_model.", "model.diffusion_model."] {
            for dit in [wan::Dit::T2V_1_3B, wan::Dit::T2V_14B] {
                let file = dit.shapes(naming).prefixed(prefix);
                let found = Fingerprint::of(&file).unwrap();
                assert_eq!((found.naming, found.prefix.as_str()), (naming, prefix));
                assert!(!found.evidence.is_empty());
                let Kind::Dit(facts) = &found.kind else { panic!("{found:?}") };
                assert_eq!(facts.variant, DitVariant::T2v);
                let sizes = [facts.dim, facts.ffn_dim, facts.layers, facts.in_dim, facts.out_dim];
                assert_eq!(sizes, [dit.dim, dit.ffn_dim, dit.layers, 16, 16]);
                assert_eq!([facts.text_dim, facts.freq_dim], [4096, 256]);
                found.check_runnable(&file).unwrap();
            }
        }
    }
}

#[test]
fn variants_are_named_and_those_without_an_implementation_refused() {
    let dit = |in_dim, out_dim| wan::Dit { dim: 256, ffn_dim: 512, layers: 2, in_dim, out_dim };
    let expected = [
        (36, 16, "img_emb.proj.0.bias", "i2v-clip", true),
        (36, 16, "img_emb.emb_pos", "flf2v", true),
        (16, 16, "vace_patch_embedding.weight", "vace", false),
        (36, 16, "patch_embedding_wancamctrl.weight", "lingbot", true),
        (16, 16, "casual_audio_encoder.weights", "s2v", false),
        (36, 16, "face_adapter.fuser_blocks.0.linear2.weight", "animate", false),
        (36, 16, "", "i2v-a14b", true),
        (48, 48, "", "ti2v-5b", true),
    ];
    for (in_dim, out_dim, mark, name, runs) in expected {
        let mut file = dit(in_dim, out_dim).shapes(Official);
        if !mark.is_empty() {
            file.add(mark, &[1280]);
        }
        let found = Fingerprint::of(&file).unwrap();
        assert!(found.kind.to_string().starts_with(&format!("a Wan {name} transformer")), "{}", found.kind);
        match found.check_runnable(&file) {
            Ok(()) => assert!(runs, "{name}"),
            Err(error) => {
                let text = error.to_string();
                assert!(!runs && text.contains(name) && text.contains("cannot run yet"), "{text}");
            }
        }
    }
    assert!(matches!(Fingerprint::of(&dit(20, 16).shapes(Official)), Err(ImportError::Unrecognised { .. })));
}

#[test]
fn text_encoders_vaes_and_clip_are_recognised() {
    for naming in [Official, Diffusers] {
        let found = Fingerprint::of(&wan::umt5(naming)).unwrap();
        assert_eq!((found.kind, found.naming), (Kind::Umt5, naming));
        let found = Fingerprint::of(&wan::vae(naming)).unwrap();
        assert_eq!((found.kind, found.naming), (Kind::Vae21, naming));
        let found = Fingerprint::of(&vae22::shapes(naming)).unwrap();
        assert_eq!((&found.kind, found.naming), (&Kind::Vae22, naming));
        found.check_runnable(&vae22::shapes(naming)).unwrap();
        let found = Fingerprint::of(&clip::shapes(naming)).unwrap();
        let prefix = if naming == Official { "visual." } else { "vision_model." };
        assert_eq!((&found.kind, found.naming, found.prefix.as_str()), (&Kind::Clip, naming, prefix));
        found.check_runnable(&clip::shapes(naming)).unwrap();
    }
    let found = Fingerprint::of(&clip::unprefixed()).unwrap();
    assert_eq!((found.kind, found.naming, found.prefix.as_str()), (Kind::Clip, Diffusers, ""));
}

#[test]
fn what_is_unknown_is_refused_with_evidence() {
    let mut file = Shapes::default();
    assert!(matches!(Fingerprint::of(&file), Err(ImportError::Unrecognised { .. })));
    file.add("model.layers.0.weight", &[4, 4]);
    let error = Fingerprint::of(&file).unwrap_err().to_string();
    assert!(error.contains("model.layers.0.weight") && error.contains("1 tensors"), "{error}");
    // T5 has position biases in its first layer only.
    let mut t5 = wan::umt5(Diffusers);
    t5.0.retain(|name, _| !name.contains("relative_attention_bias") || name.contains("block.0."));
    let error = Fingerprint::of(&t5).unwrap_err().to_string();
    assert!(error.contains("1 tables"), "{error}");
    let mut cut = wan::Dit::T2V_1_3B.shapes(Official);
    cut.0.remove("head.head.weight");
    assert!(matches!(Fingerprint::of(&cut), Err(ImportError::MissingTensors { .. })));
    let mut flat = wan::Dit::T2V_1_3B.shapes(Official);
    flat.0.get_mut("patch_embedding.weight").unwrap().shape = vec![1536, 64];
    assert!(matches!(Fingerprint::of(&flat), Err(ImportError::Shape { .. })));

    let mut zero = wan::Dit { dim: 0, ..wan::Dit::T2V_1_3B }.shapes(Official);
    zero.0.get_mut("patch_embedding.weight").unwrap().bytes = 0;
    assert!(Fingerprint::of(&zero).is_err());
}
