//! The key list of the released image encoder, written out from the published layer tables.

use wan_import::Naming;

use super::Shapes;

/// Weight of any rank, and bias.
fn both(shapes: &mut Shapes, name: &str, weight: &[usize]) {
    shapes.add(format!("{name}.weight"), weight);
    shapes.add(format!("{name}.bias"), &weight[..1]);
}

/// The image half of the file, complete; of the other half, two tensors.
pub fn shapes(naming: Naming) -> Shapes {
    match naming {
        Naming::Official => official(),
        Naming::Diffusers => unprefixed().prefixed("vision_model."),
    }
}

fn official() -> Shapes {
    let mut shapes = Shapes::default();
    shapes.add("visual.patch_embedding.weight", &[1280, 3, 14, 14]);
    shapes.add("visual.cls_embedding", &[1, 1, 1280]);
    shapes.add("visual.pos_embedding", &[1, 257, 1280]);
    both(&mut shapes, "visual.pre_norm", &[1280]);
    for n in 0..32 {
        let block = format!("visual.transformer.{n}");
        both(&mut shapes, &format!("{block}.norm1"), &[1280]);
        both(&mut shapes, &format!("{block}.attn.to_qkv"), &[3840, 1280]);
        both(&mut shapes, &format!("{block}.attn.proj"), &[1280, 1280]);
        both(&mut shapes, &format!("{block}.norm2"), &[1280]);
        both(&mut shapes, &format!("{block}.mlp.0"), &[5120, 1280]);
        both(&mut shapes, &format!("{block}.mlp.2"), &[1280, 5120]);
    }
    both(&mut shapes, "visual.post_norm", &[1280]);
    shapes.add("visual.head", &[1280, 1024]);
    shapes
}

/// As transformers writes them from version 5 on.
pub fn unprefixed() -> Shapes {
    let mut shapes = Shapes::default();
    shapes.add("embeddings.class_embedding", &[1280]);
    shapes.add("embeddings.patch_embedding.weight", &[1280, 3, 14, 14]);
    shapes.add("embeddings.position_embedding.weight", &[257, 1280]);
    both(&mut shapes, "pre_layrnorm", &[1280]);
    for n in 0..32 {
        let layer = format!("encoder.layers.{n}");
        for projection in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            both(&mut shapes, &format!("{layer}.self_attn.{projection}"), &[1280, 1280]);
        }
        both(&mut shapes, &format!("{layer}.layer_norm1"), &[1280]);
        both(&mut shapes, &format!("{layer}.layer_norm2"), &[1280]);
        both(&mut shapes, &format!("{layer}.mlp.fc1"), &[5120, 1280]);
        both(&mut shapes, &format!("{layer}.mlp.fc2"), &[1280, 5120]);
    }
    both(&mut shapes, "post_layernorm", &[1280]);
    shapes
}

/// The parameters of our module, which has no last block.
pub fn paths(naming: Naming) -> Vec<String> {
    let qkv: &[&str] = match naming {
        Naming::Official => &["attn.qkv.0"],
        Naming::Diffusers => &["attn.qkv.0", "attn.qkv.1", "attn.qkv.2"],
    };
    let parts = ["norm1", "attn.proj", "norm2", "mlp.linear1", "mlp.linear2"];
    let block = |n| qkv.iter().chain(&parts).map(move |part| format!("blocks.{n}.{part}"));
    let layers = (0..31).flat_map(block).chain(["pre_norm".to_owned()]);
    let paths = layers.flat_map(|layer| [format!("{layer}.weight"), format!("{layer}.bias")]);
    paths.chain(["embed.patch", "embed.class", "embed.position"].map(str::to_owned)).collect()
}
