//! The key lists of the released networks, written out from the published layer tables.

use wan_import::Naming;

use super::Shapes;

/// `[out, in]` weight and bias.
pub(super) fn linear(shapes: &mut Shapes, name: &str, out: usize, inputs: usize) {
    shapes.add(format!("{name}.weight"), &[out, inputs]);
    shapes.add(format!("{name}.bias"), &[out]);
}

/// Weight of any rank, and bias.
pub fn conv(shapes: &mut Shapes, name: &str, weight: &[usize]) {
    shapes.add(format!("{name}.weight"), weight);
    shapes.add(format!("{name}.bias"), &weight[..1]);
}

pub struct Dit {
    pub dim: usize,
    pub ffn_dim: usize,
    pub layers: usize,
    pub in_dim: usize,
    pub out_dim: usize,
}

impl Dit {
    pub const T2V_1_3B: Self = Self { dim: 1536, ffn_dim: 8960, layers: 30, in_dim: 16, out_dim: 16 };
    pub const T2V_14B: Self = Self { dim: 5120, ffn_dim: 13824, layers: 40, in_dim: 16, out_dim: 16 };

    pub fn shapes(&self, naming: Naming) -> Shapes {
        let mut shapes = Shapes::default();
        let official = naming == Naming::Official;
        let name = |a: &'static str, b: &'static str| if official { a } else { b };
        let d = self.dim;
        conv(&mut shapes, "patch_embedding", &[d, self.in_dim, 1, 2, 2]);
        let text = name("text_embedding.", "condition_embedder.text_embedder.linear_");
        let time = name("time_embedding.", "condition_embedder.time_embedder.linear_");
        let [first, second] = if official { ["0", "2"] } else { ["1", "2"] };
        linear(&mut shapes, &format!("{text}{first}"), d, 4096);
        linear(&mut shapes, &format!("{text}{second}"), d, d);
        linear(&mut shapes, &format!("{time}{first}"), d, 256);
        linear(&mut shapes, &format!("{time}{second}"), d, d);
        linear(&mut shapes, name("time_projection.1", "condition_embedder.time_proj"), 6 * d, d);
        for n in 0..self.layers {
            self.block(&mut shapes, &format!("blocks.{n}"), official);
        }
        shapes.add(name("head.modulation", "scale_shift_table"), &[1, 2, d]);
        linear(&mut shapes, name("head.head", "proj_out"), 4 * self.out_dim, d);
        shapes
    }

    pub(super) fn block(&self, shapes: &mut Shapes, block: &str, official: bool) {
        let (d, f) = (self.dim, self.ffn_dim);
        let name = |a: &'static str, b: &'static str| if official { a } else { b };
        shapes.add(format!("{block}.{}", name("modulation", "scale_shift_table")), &[1, 6, d]);
        for attention in [name("self_attn", "attn1"), name("cross_attn", "attn2")] {
            for projection in [name("q", "to_q"), name("k", "to_k"), name("v", "to_v"), name("o", "to_out.0")]
            {
                linear(shapes, &format!("{block}.{attention}.{projection}"), d, d);
            }
            shapes.add(format!("{block}.{attention}.norm_q.weight"), &[d]);
            shapes.add(format!("{block}.{attention}.norm_k.weight"), &[d]);
        }
        conv(shapes, &format!("{block}.{}", name("norm3", "norm2")), &[d]);
        linear(shapes, &format!("{block}.{}", name("ffn.0", "ffn.net.0.proj")), f, d);
        linear(shapes, &format!("{block}.{}", name("ffn.2", "ffn.net.2")), d, f);
    }

    /// The parameters of our module.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        let mut both = |name: String| paths.extend([format!("{name}.weight"), format!("{name}.bias")]);
        for name in ["text_embedding.linear", "time_embedding.linear"] {
            both(format!("{name}1"));
            both(format!("{name}2"));
        }
        ["patch_embedding", "time_projection", "head.head"].into_iter().for_each(|name| both(name.into()));
        for n in 0..self.layers {
            for part in ["self_attn", "cross_attn"] {
                ["q", "k", "v", "o"].into_iter().for_each(|p| both(format!("blocks.{n}.{part}.{p}")));
            }
            ["norm3", "ffn.linear1", "ffn.linear2"].into_iter().for_each(|p| both(format!("blocks.{n}.{p}")));
        }
        for n in 0..self.layers {
            let norms = ["self_attn.norm_q", "self_attn.norm_k", "cross_attn.norm_q", "cross_attn.norm_k"];
            paths.extend(norms.map(|norm| format!("blocks.{n}.{norm}.weight")));
            paths.push(format!("blocks.{n}.modulation"));
        }
        paths.push("head.modulation".into());
        paths
    }
}

pub const UMT5_LAYERS: usize = 24;

pub fn umt5(naming: Naming) -> Shapes {
    let (d, f, mut shapes) = (4096, 10240, Shapes::default());
    let official = naming == Naming::Official;
    let name = |a: &str, b: &str| if official { a.to_owned() } else { b.to_owned() };
    shapes.add(name("token_embedding.weight", "shared.weight"), &[256384, d]);
    shapes.add(name("norm.weight", "encoder.final_layer_norm.weight"), &[d]);
    for n in 0..UMT5_LAYERS {
        let (attention, ffn) = (format!("encoder.block.{n}.layer.0"), format!("encoder.block.{n}.layer.1"));
        let mut add = |a: &str, b: String, shape: &[usize]| {
            shapes.add(name(&format!("blocks.{n}.{a}.weight"), &format!("{b}.weight")), shape);
        };
        add("norm1", format!("{attention}.layer_norm"), &[d]);
        add("norm2", format!("{ffn}.layer_norm"), &[d]);
        for p in ["q", "k", "v", "o"] {
            add(&format!("attn.{p}"), format!("{attention}.SelfAttention.{p}"), &[d, d]);
        }
        let bias = format!("{attention}.SelfAttention.relative_attention_bias");
        add("pos_embedding.embedding", bias, &[32, 64]);
        add("ffn.gate.0", format!("{ffn}.DenseReluDense.wi_0"), &[f, d]);
        add("ffn.fc1", format!("{ffn}.DenseReluDense.wi_1"), &[f, d]);
        add("ffn.fc2", format!("{ffn}.DenseReluDense.wo"), &[d, f]);
    }
    shapes
}

pub fn umt5_paths() -> Vec<String> {
    let parts = [
        "norm1.weight",
        "norm2.weight",
        "attn.q.weight",
        "attn.k.weight",
        "attn.v.weight",
        "attn.o.weight",
        "relative_bias",
        "ffn.gate.weight",
        "ffn.up.weight",
        "ffn.down.weight",
    ];
    let blocks = (0..UMT5_LAYERS).flat_map(|n| parts.map(|part| format!("blocks.{n}.{part}")));
    blocks.chain(["norm.weight".to_owned()]).collect()
}

/// What a module of the VAE's flat run is.
#[derive(Clone, Copy)]
pub enum Block {
    /// Residual block: channels in and out.
    Res(usize, usize),
    /// Resampling convolution out and in, and the time convolution's.
    Resample([usize; 2], Option<[usize; 2]>),
    Attention(usize),
}

impl Block {
    pub fn add(self, shapes: &mut Shapes, name: &str, official: bool) {
        let part = |a: &str, b: &str| format!("{name}.{}", if official { a } else { b });
        match self {
            Self::Res(from, to) => {
                shapes.add(part("residual.0.gamma", "norm1.gamma"), &[from, 1, 1, 1]);
                conv(shapes, &part("residual.2", "conv1"), &[to, from, 3, 3, 3]);
                shapes.add(part("residual.3.gamma", "norm2.gamma"), &[to, 1, 1, 1]);
                conv(shapes, &part("residual.6", "conv2"), &[to, to, 3, 3, 3]);
                if from != to {
                    conv(shapes, &part("shortcut", "conv_shortcut"), &[to, from, 1, 1, 1]);
                }
            }
            Self::Resample([to, from], time) => {
                conv(shapes, &part("resample.1", "resample.1"), &[to, from, 3, 3]);
                if let Some([to, from]) = time {
                    conv(shapes, &part("time_conv", "time_conv"), &[to, from, 3, 1, 1]);
                }
            }
            Self::Attention(width) => {
                shapes.add(part("norm.gamma", "norm.gamma"), &[width, 1, 1]);
                conv(shapes, &part("to_qkv", "to_qkv"), &[3 * width, width, 1, 1]);
                conv(shapes, &part("proj", "proj"), &[width, width, 1, 1]);
            }
        }
    }

    pub fn paths(self, name: &str) -> Vec<String> {
        let both = |part: &str| [format!("{name}.{part}.weight"), format!("{name}.{part}.bias")];
        match self {
            Self::Res(from, to) => {
                let norms = ["norm1.gamma", "norm2.gamma"].map(|norm| format!("{name}.{norm}"));
                let convs = [both("conv1"), both("conv2")].concat();
                let shortcut = if from == to { Vec::new() } else { both("shortcut").into() };
                [norms.into(), convs, shortcut].concat()
            }
            Self::Resample(_, time) => {
                let time = time.map_or(Vec::new(), |_| both("time_conv").into());
                [both("resample").into(), time].concat()
            }
            Self::Attention(_) => {
                [vec![format!("{name}.norm.gamma")], both("to_qkv").into(), both("proj").into()].concat()
            }
        }
    }
}

use Block::{Attention, Res, Resample};

const DOWN: [Block; 11] = [
    Res(96, 96),
    Res(96, 96),
    Resample([96, 96], None),
    Res(96, 192),
    Res(192, 192),
    Resample([192, 192], Some([192, 192])),
    Res(192, 384),
    Res(384, 384),
    Resample([384, 384], Some([384, 384])),
    Res(384, 384),
    Res(384, 384),
];
const UP: [Block; 15] = [
    Res(384, 384),
    Res(384, 384),
    Res(384, 384),
    Resample([192, 384], Some([768, 384])),
    Res(192, 384),
    Res(384, 384),
    Res(384, 384),
    Resample([192, 384], Some([768, 384])),
    Res(192, 192),
    Res(192, 192),
    Res(192, 192),
    Resample([96, 192], None),
    Res(96, 96),
    Res(96, 96),
    Res(96, 96),
];
const MID: [Block; 3] = [Res(384, 384), Attention(384), Res(384, 384)];

/// The diffusers names of the decoder's flat run, as its published table has them.
const UP_NAMES: [&str; 15] = [
    "0.resnets.0",
    "0.resnets.1",
    "0.resnets.2",
    "0.upsamplers.0",
    "1.resnets.0",
    "1.resnets.1",
    "1.resnets.2",
    "1.upsamplers.0",
    "2.resnets.0",
    "2.resnets.1",
    "2.resnets.2",
    "2.upsamplers.0",
    "3.resnets.0",
    "3.resnets.1",
    "3.resnets.2",
];
const MID_NAMES: [&str; 3] = ["resnets.0", "attentions.0", "resnets.1"];

/// Wan 2.1's autoencoder.
pub fn vae(naming: Naming) -> Shapes {
    let (mut shapes, official) = (Shapes::default(), naming == Naming::Official);
    let name = |a: &str, b: &str| if official { a.to_owned() } else { b.to_owned() };
    conv(&mut shapes, &name("conv1", "quant_conv"), &[32, 32, 1, 1, 1]);
    conv(&mut shapes, &name("conv2", "post_quant_conv"), &[16, 16, 1, 1, 1]);
    for (half, conv_in, conv_out, last) in
        [("encoder", [96, 3], [32, 384], 384), ("decoder", [384, 16], [3, 96], 96)]
    {
        let conv3 = |[to, from]: [usize; 2]| [to, from, 3, 3, 3];
        conv(&mut shapes, &format!("{half}.{}", name("conv1", "conv_in")), &conv3(conv_in));
        conv(&mut shapes, &format!("{half}.{}", name("head.2", "conv_out")), &conv3(conv_out));
        shapes.add(format!("{half}.{}", name("head.0.gamma", "norm_out.gamma")), &[last, 1, 1, 1]);
        for (n, block) in MID.into_iter().enumerate() {
            let place = name(&format!("middle.{n}"), &format!("mid_block.{}", MID_NAMES[n]));
            block.add(&mut shapes, &format!("{half}.{place}"), official);
        }
    }
    for (n, block) in DOWN.into_iter().enumerate() {
        let place = name(&format!("downsamples.{n}"), &format!("down_blocks.{n}"));
        block.add(&mut shapes, &format!("encoder.{place}"), official);
    }
    for (n, block) in UP.into_iter().enumerate() {
        let place = name(&format!("upsamples.{n}"), &format!("up_blocks.{}", UP_NAMES[n]));
        block.add(&mut shapes, &format!("decoder.{place}"), official);
    }
    shapes
}

/// The parameters of our encoder and decoder modules.
pub fn vae_paths() -> [Vec<String>; 2] {
    let half = |run: &[Block], name: &str, quant: &str| {
        let mut paths = vec!["norm_out.gamma".to_owned()];
        for conv in ["conv_in", "conv_out", quant] {
            paths.extend([format!("{conv}.weight"), format!("{conv}.bias")]);
        }
        for (block, part) in MID.iter().zip(["mid.res1", "mid.attn", "mid.res2"]) {
            paths.extend(block.paths(part));
        }
        for (n, block) in run.iter().enumerate() {
            paths.extend(block.paths(&format!("{name}.{n}")));
        }
        paths
    };
    [half(&DOWN, "down", "quant_conv"), half(&UP, "up", "post_quant_conv")]
}
