//! The key list of Wan 2.2's autoencoder, written out from the published layer tables.

use wan_import::Naming;

use super::{
    Shapes,
    wan::{
        Block::{self, Attention, Res, Resample},
        conv,
    },
};

/// A block and its names after `encoder.downsamples.` or `decoder.upsamples.`, and after `encoder.down_blocks.` or
/// `decoder.up_blocks.`.
type Named = (&'static str, &'static str, Block);

const DOWN: [Named; 11] = [
    ("0.downsamples.0", "0.resnets.0", Res(160, 160)),
    ("0.downsamples.1", "0.resnets.1", Res(160, 160)),
    ("0.downsamples.2", "0.downsampler", Resample([160, 160], None)),
    ("1.downsamples.0", "1.resnets.0", Res(160, 320)),
    ("1.downsamples.1", "1.resnets.1", Res(320, 320)),
    ("1.downsamples.2", "1.downsampler", Resample([320, 320], Some([320, 320]))),
    ("2.downsamples.0", "2.resnets.0", Res(320, 640)),
    ("2.downsamples.1", "2.resnets.1", Res(640, 640)),
    ("2.downsamples.2", "2.downsampler", Resample([640, 640], Some([640, 640]))),
    ("3.downsamples.0", "3.resnets.0", Res(640, 640)),
    ("3.downsamples.1", "3.resnets.1", Res(640, 640)),
];
const UP: [Named; 15] = [
    ("0.upsamples.0", "0.resnets.0", Res(1024, 1024)),
    ("0.upsamples.1", "0.resnets.1", Res(1024, 1024)),
    ("0.upsamples.2", "0.resnets.2", Res(1024, 1024)),
    ("0.upsamples.3", "0.upsampler", Resample([1024, 1024], Some([2048, 1024]))),
    ("1.upsamples.0", "1.resnets.0", Res(1024, 1024)),
    ("1.upsamples.1", "1.resnets.1", Res(1024, 1024)),
    ("1.upsamples.2", "1.resnets.2", Res(1024, 1024)),
    ("1.upsamples.3", "1.upsampler", Resample([1024, 1024], Some([2048, 1024]))),
    ("2.upsamples.0", "2.resnets.0", Res(1024, 512)),
    ("2.upsamples.1", "2.resnets.1", Res(512, 512)),
    ("2.upsamples.2", "2.resnets.2", Res(512, 512)),
    ("2.upsamples.3", "2.upsampler", Resample([512, 512], None)),
    ("3.upsamples.0", "3.resnets.0", Res(512, 256)),
    ("3.upsamples.1", "3.resnets.1", Res(256, 256)),
    ("3.upsamples.2", "3.resnets.2", Res(256, 256)),
];

fn middle(width: usize) -> [Named; 3] {
    [
        ("0", "resnets.0", Res(width, width)),
        ("1", "attentions.0", Attention(width)),
        ("2", "resnets.1", Res(width, width)),
    ]
}

pub fn shapes(naming: Naming) -> Shapes {
    let (mut shapes, official) = (Shapes::default(), naming == Naming::Official);
    let name = |a: &'static str, b: &'static str| if official { a } else { b };
    conv(&mut shapes, name("conv1", "quant_conv"), &[96, 96, 1, 1, 1]);
    conv(&mut shapes, name("conv2", "post_quant_conv"), &[48, 48, 1, 1, 1]);
    conv(&mut shapes, name("encoder.conv1", "encoder.conv_in"), &[160, 12, 3, 3, 3]);
    conv(&mut shapes, name("encoder.head.2", "encoder.conv_out"), &[96, 640, 3, 3, 3]);
    conv(&mut shapes, name("decoder.conv1", "decoder.conv_in"), &[1024, 48, 3, 3, 3]);
    conv(&mut shapes, name("decoder.head.2", "decoder.conv_out"), &[12, 256, 3, 3, 3]);
    shapes.add(name("encoder.head.0.gamma", "encoder.norm_out.gamma"), &[640, 1, 1, 1]);
    shapes.add(name("decoder.head.0.gamma", "decoder.norm_out.gamma"), &[256, 1, 1, 1]);
    for (run, place) in [
        (&DOWN[..], name("encoder.downsamples", "encoder.down_blocks")),
        (&UP[..], name("decoder.upsamples", "decoder.up_blocks")),
        (&middle(640)[..], name("encoder.middle", "encoder.mid_block")),
        (&middle(1024)[..], name("decoder.middle", "decoder.mid_block")),
    ] {
        for &(a, b, block) in run {
            block.add(&mut shapes, &format!("{place}.{}", name(a, b)), official);
        }
    }
    shapes
}

/// The parameters of our encoder and decoder modules.
pub fn paths() -> [Vec<String>; 2] {
    let half = |run: &[Named], path: &str, width: usize, quant: &str| {
        let convs = ["conv_in", "conv_out", quant];
        let mut paths: Vec<_> =
            convs.iter().flat_map(|conv| [format!("{conv}.weight"), format!("{conv}.bias")]).collect();
        paths.push("norm_out.gamma".to_owned());
        for ((.., block), part) in middle(width).iter().zip(["mid.res1", "mid.attn", "mid.res2"]) {
            paths.extend(block.paths(part));
        }
        for (n, (.., block)) in run.iter().enumerate() {
            paths.extend(block.paths(&format!("{path}.{n}")));
        }
        paths
    };
    [half(&DOWN, "down", 640, "quant_conv"), half(&UP, "up", 1024, "post_quant_conv")]
}
