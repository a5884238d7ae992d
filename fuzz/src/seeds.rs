//! Good files and parts of them, small.

use std::path::Path;

use super::readers::write;

/// Small ones of each kind that the library knows.
pub(super) fn tokenizers(_: &Path) -> Vec<Vec<u8>> {
    [UNIGRAM, BPE, WORD_PIECE].map(|text| text.as_bytes().to_vec()).into()
}

pub(super) const HEADER: &str = r#"{"__metadata__":{"format":"pt"},
"a.weight":{"dtype":"F32","shape":[8,16],"data_offsets":[0,512]},
"b":{"dtype":"BF16","shape":[4,32],"data_offsets":[512,768]},
"c":{"dtype":"F8_E4M3","shape":[256],"data_offsets":[768,1024]}}"#;
pub(super) const INT8_HEADER: &str = r#"{"a.weight":{"dtype":"I8","shape":[8,64],"data_offsets":[0,512]},
"a.SCB":{"dtype":"F32","shape":[8],"data_offsets":[512,544]},
"a.weight_format":{"dtype":"U8","shape":[],"data_offsets":[544,545]},
"b.weight":{"dtype":"I8","shape":[7,64],"data_offsets":[545,993]},
"b.weight.scales":{"dtype":"F16","shape":[7,1],"data_offsets":[993,1007]},
"c":{"dtype":"U8","shape":[17],"data_offsets":[1007,1024]}}"#;
pub(super) const UMT5_HEADER: &str = r#"{"shared.weight":{"dtype":"F16","shape":[16,8],"data_offsets":[0,256]},
"encoder.block.0.layer.0.SelfAttention.q.weight":{"dtype":"F16","shape":[8,8],"data_offsets":[256,384]},
"encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight":{"dtype":"F16","shape":[4,2],"data_offsets":[384,400]},
"encoder.block.0.layer.1.DenseReluDense.wi_0.weight":{"dtype":"F16","shape":[16,8],"data_offsets":[400,656]},
"head.modulation":{"dtype":"F16","shape":[1,2,8],"data_offsets":[656,688]},
"patch_embedding.weight":{"dtype":"F16","shape":[8,16,1,1,1],"data_offsets":[688,944]},
"blocks.0.ffn.0.weight":{"dtype":"F16","shape":[5,8],"data_offsets":[944,1024]}}"#;
pub(super) const TENSOR_WORDS: &[&str] = &[
    "dtype",
    "shape",
    "data_offsets",
    "F32",
    "F16",
    "BF16",
    "I8",
    "U8",
    "F4",
    "I64",
    "__metadata__",
    "a.weight",
    "a.SCB",
    "b.weight.scales",
    "encoder.block.1.layer.0.SelfAttention.q.weight",
    "blocks.7.ffn.0.weight",
    "img_emb.emb_pos",
    "head.head.weight",
    "decoder.conv1.weight",
    "quant_conv.weight",
    "visual.conv1.weight",
    "w.quant_state.bitsandbytes__nf4",
];
pub(super) const STATE: &str = r#"{"quant_type":"nf4","blocksize":64,"dtype":"bfloat16","shape":[8,8]}"#;
pub(super) const NESTED_STATE: &str = r#"{"quant_type":"nf4","blocksize":64,"dtype":"float16","shape":[8,8],
"nested_blocksize":256,"nested_dtype":"float32","nested_offset":0.04}"#;
pub(super) const INDEX: &str =
    r#"{"metadata":{"total_size":2048},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}"#;
pub(super) const ARRAY: &str = "{'descr': '<f4', 'fortran_order': False, 'shape': (16, 4, 4), }          \n";
pub(super) const CAMERAS: &str = r#"{"poses":[[[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]],
[[1,0,0,0.5],[0,1,0,0],[0,0,1,1e-1],[0,0,0,1]],
[[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]],
[[1,0,0,0.5],[0,1,0,0],[0,0,1,1e-1],[0,0,0,1]],
[[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]],
"intrinsics":[[503,503,416,240]],"actions":[[0,1,0,0],[1,0,0,1],[0,0,0,0],[0,0,1,0],[1,1,1,1]]}"#;
pub(super) const PACKAGE: &str = r#"{"version":1,"layout":"diffusers","quant":"int8","files":[
{"path":"vae/a.json","bytes":2,"crc32":2745614147,"errors":{"k":0.01}},{"path":"b.json","bytes":2,"crc32":223132457}]}"#;

/// The files of both packages.
pub(super) fn packaged(_: &Path, folder: &Path) {
    write(&folder.join("vae/a.json"), b"{}");
    write(&folder.join("b.json"), b"[]");
}

pub(super) const PROGRESS: &str = r#"{"version":1,"identity":7,"files":[
{"path":"vae/a.json","bytes":2,"crc32":2745614147},{"path":"b.json","bytes":2,"crc32":223132457,"errors":{"k":0.01}}]}"#;

/// Protocol 2: `OrderedDict` of one f32 tensor of 4x4, with the opcodes that torch writes.
pub(super) const PICKLE: &[u8] = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01X\x01\x00\x00\x00wq\x02ctorch._utils\n_rebuild_tensor_v2\nq\x03((X\x07\x00\x00\x00storageq\x04ctorch\nFloatStorage\nq\x05X\x01\x00\x00\x000q\x06X\x03\x00\x00\x00cpuq\x07K\x10tq\x08QK\x00K\x04K\x04\x86q\tK\x04K\x01\x86q\n\x89h\x00)Rq\x0btq\x0cRq\rs.";

/// Protocol 4: a dict below a name, frames, memoized short text, a parameter.
pub(super) fn pickle() -> Vec<u8> {
    let mut bytes = b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x0astate_dict\x94}\x94(".to_vec();
    for (name, key, shape) in [("a", "0", 16u8), ("b", "1", 8)] {
        let (length, text) = (name.len() as u8, name.as_bytes());
        bytes.extend(
            [&[0x8c, length], text, b"\x94\x8c\x0ctorch._utils\x94\x8c\x12_rebuild_tensor_v2\x93\x94("]
                .concat(),
        );
        bytes.extend(b"(\x8c\x07storage\x94\x8c\x05torch\x8c\x0bHalfStorage\x93\x94\x8c\x01");
        bytes.extend(
            [
                key.as_bytes(),
                b"\x94\x8c\x03cpu\x94K\x20t\x94QK\x00K",
                &[shape],
                b"\x85\x94K\x01\x85\x94\x89}\x94t\x94R\x94",
            ]
            .concat(),
        );
    }
    bytes.extend(b"us.");
    bytes
}

pub(super) const TOKENIZER_WORDS: &[&str] = &[
    "Unigram",
    "BPE",
    "WordPiece",
    "WordLevel",
    "Metaspace",
    "Split",
    "Regex",
    "String",
    "Replace",
    "Precompiled",
    "NFKC",
    "Sequence",
    "Lowercase",
    "ByteLevel",
    "Template",
    "TemplateProcessing",
    "prepend_scheme",
    "byte_fallback",
    "unk_id",
    "merges",
    "vocab",
    "(a+)+$",
    "(a{999}){999}",
    "(?=",
    "\\\\p{L}",
    "</s>",
    "special",
    "content",
    "Fuse",
    "Strip",
];
pub(super) const UNIGRAM: &str = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":1,"content":"</s>",
"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
"normalizer":{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "}]},
"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true},
"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"</s>","type_id":0}}],
"pair":[],"special_tokens":{"</s>":{"id":"</s>","ids":[1],"tokens":["</s>"]}}},
"decoder":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true},
"model":{"type":"Unigram","unk_id":2,"vocab":[["<pad>",0.0],["</s>",0.0],["<unk>",0.0],["▁",-2.5],["red",-5.0],["ball",-5.25],["a",-3.0],["l",-3.5]],"byte_fallback":false}}"#;
pub(super) const BPE: &str = r#"{"version":"1.0","added_tokens":[{"id":5,"content":"</s>","single_word":true,"lstrip":true,"rstrip":true,
"normalized":true,"special":false}],"normalizer":{"type":"Lowercase"},"pre_tokenizer":{"type":"Split","pattern":{"Regex":"\\p{L}+|\\d"},
"behavior":"Isolated","invert":true},"post_processor":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":false,"use_regex":true},
"decoder":{"type":"ByteFallback"},"model":{"type":"BPE","dropout":null,"unk_token":"r","continuing_subword_prefix":null,
"end_of_word_suffix":null,"fuse_unk":true,"byte_fallback":true,"vocab":{"r":0,"e":1,"d":2,"re":3,"red":4},"merges":["r e",["re","d"]]}}"#;
pub(super) const WORD_PIECE: &str = r###"{"version":"1.0","added_tokens":[{"id":0,"content":"</s>","special":true}],"normalizer":{"type":"BertNormalizer",
"clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},
"post_processor":{"type":"BertProcessing","sep":["</s>",0],"cls":["</s>",0]},"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},
"model":{"type":"WordPiece","unk_token":"</s>","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{"</s>":0,"red":1,"##s":2}}}"###;

pub(super) const DEFAULTS: &str = "prompt = \"a fox\"\nsize = \"832x480\"\nsteps = 30\nshift = 5.0\nmodel = \"Wan-AI/Wan2.1\"\n\
device = \"wgpu:1\"\nsolver = \"dpm++\"\nseed = 7\nimage = 'a.png'\nquant = \"nf4\"\narea = \"480p\"\nfps = 16\n";
pub(super) const LISTING: &str = r#"{"id":"a/b","sha":"0123456789abcdef0123456789abcdef01234567","siblings":[
{"rfilename":"model_index.json","size":2,"blobId":"9e26dfeeb6e641a33dae4961196235bdb965b21b"},
{"rfilename":"vae/x.safetensors","size":9,"blobId":"9e26dfeeb6e641a33dae4961196235bdb965b21b","lfs":{"sha256":
"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03","size":9,"pointerSize":135}},{"rfilename":"README.md"}]}"#;

pub(super) const STATE_JSON: &str = r#"{"format":1,"version":"0.1.0","started":"2026-01-01T00:00:00Z","saved":"2026-01-01T00:01:00Z",
"folder":"/tmp","settings":{"model":"demo","prompt":"a","seed":1},"given":{"prompt":"a"},"output":"x.mp4","overwrite":false,
"dump":null,"step":2,"steps":4,"width":16,"height":16,"frames":5,"device":"cpu","driver":"","dtype":"F32","decoder":"d",
"plan":"p","weights":[],"inputs":[{"path":"a.png","hash":"h"}],"sha256":"9029ed7505a820d9065e1e3941f26fc80953be9ac9866c729b5dbccaa16b326c"}"#;
pub(super) const DECODED: &str = r#"{"frame":1,"frames":2,"frame_bytes":12,"floats":false,"layers":[[[true,1]]],"file":"memory.safetensors",
"bytes":1100,"crc32":1381371758}"#;
/// Of the file beside it.
pub(super) const MEMORY: &str = r#"{"conv.0":{"dtype":"F32","shape":[1,4,8,8],"data_offsets":[0,1024]}}"#;

/// One frame of 16x16 pixels, with its settings.
pub(super) const CLIP_MP4: &[u8] = include_bytes!("../corpus/clip.mp4");
pub(super) const CLIP_GIF: &[u8] = include_bytes!("../corpus/clip.gif");
pub(super) const CLIP_WEBP: &[u8] = include_bytes!("../corpus/clip.webp");
pub(super) const CLIP_PNG: &[u8] = include_bytes!("../corpus/clip.png");
/// 8x8 pixels each.
pub(super) const PNG_RGB: &[u8] = include_bytes!("../corpus/rgb.png");
pub(super) const PNG_ALPHA: &[u8] = include_bytes!("../corpus/alpha.png");
pub(super) const JPEG: &[u8] = include_bytes!("../corpus/small.jpg");
pub(super) const WEBP: &[u8] = include_bytes!("../corpus/small.webp");
pub(super) const GIF: &[u8] = include_bytes!("../corpus/small.gif");
