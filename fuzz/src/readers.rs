//! Every reader of foreign bytes as a function of bytes: for fuzzers, and for the mutations of `mutate`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use wan_import::{
    Checkpoint, Component, GenerationConfig, PipelineConfig, SchedulerConfig, Source, TensorSource,
};

use super::wrap;

/// A reader, and how to get at it.
pub struct Reader {
    pub name: &'static str,
    /// Name of the file that it is given.
    file: &'static str,
    /// From what is changed to the file.
    pub wrap: fn(&[u8]) -> Vec<u8>,
    /// What is changed: pieces of good files.
    pub seeds: fn(&Path) -> Vec<Vec<u8>>,
    /// Words that the reader looks for.
    pub words: &'static [&'static str],
    /// Puts what the reader needs beside the file into the folder; `goldens` is that of the tests.
    prepare: fn(goldens: &Path, folder: &Path),
    /// Says what became of it, an error's text where there is one.
    read: fn(&Path) -> String,
    /// Part of what it says about the first seed, which is whole.
    pub says: &'static str,
    /// Bytes that it may hold beside ten times its input.
    pub bound: usize,
}

/// Bytes that every reader may hold, however short its input.
const BOUND: usize = 64 << 20;
/// Of tensors that were read and are those of no network.
const UNKNOWN: &str = "not a checkpoint this version knows";
/// A picture as large as one may be, as it is stored and in eight bits a channel.
const PICTURE: usize = BOUND + (1 << 26) * (8 + 3);

const PLAIN: Reader = Reader {
    name: "",
    file: "",
    wrap: wrap::plain,
    seeds: |_| Vec::new(),
    words: &[],
    prepare: |_, _| {},
    read: |_| String::new(),
    says: "good",
    bound: BOUND,
};

/// All of them.
pub const READERS: [Reader; 24] = [
    Reader {
        name: "safetensors",
        file: "x.safetensors",
        seeds: |_| vec![wrap::header(HEADER.as_bytes()), wrap::bitsandbytes(STATE.as_bytes())],
        words: TENSOR_WORDS,
        read: tensors,
        says: UNKNOWN,
        ..PLAIN
    },
    Reader {
        name: "safetensors_header",
        file: "x.safetensors",
        wrap: wrap::header,
        seeds: |_| vec![HEADER.into(), INT8_HEADER.into(), UMT5_HEADER.into()],
        words: TENSOR_WORDS,
        read: tensors,
        says: UNKNOWN,
        ..PLAIN
    },
    Reader {
        name: "bitsandbytes",
        file: "x.safetensors",
        wrap: wrap::bitsandbytes,
        seeds: |_| vec![STATE.into(), NESTED_STATE.into()],
        words: &[
            "nf4",
            "fp4",
            "quant_type",
            "blocksize",
            "shape",
            "nested_blocksize",
            "nested_offset",
            "dtype",
        ],
        read: tensors,
        says: UNKNOWN,
        ..PLAIN
    },
    Reader {
        name: "index",
        file: "diffusion_pytorch_model.safetensors.index.json",
        seeds: |_| vec![INDEX.into()],
        words: &[
            "weight_map",
            "metadata",
            "one.safetensors",
            "two.safetensors",
            "a",
            "b",
            "../one.safetensors",
        ],
        prepare: |_, folder| {
            for (name, key) in [("one", "a"), ("two", "b")] {
                let header =
                    format!(r#"{{"{key}":{{"dtype":"F32","shape":[256],"data_offsets":[0,1024]}}}}"#);
                write(&folder.join(format!("{name}.safetensors")), &wrap::header(header.as_bytes()));
            }
        },
        read: tensors,
        says: UNKNOWN,
        ..PLAIN
    },
    Reader {
        name: "torch",
        file: "x.pth",
        seeds: |_| vec![wrap::torch(PICKLE), wrap::torch(&pickle())],
        read: tensors,
        says: UNKNOWN,
        ..PLAIN
    },
    Reader {
        name: "pickle",
        file: "x.pth",
        wrap: wrap::torch,
        seeds: |_| vec![PICKLE.into(), pickle()],
        words: &[
            "torch",
            "FloatStorage",
            "_rebuild_tensor_v2",
            "collections",
            "OrderedDict",
            "storage",
            "cpu",
        ],
        read: tensors,
        says: UNKNOWN,
        ..PLAIN
    },
    Reader {
        name: "npy",
        file: "poses.npy",
        wrap: wrap::array,
        seeds: |_| {
            vec![ARRAY.into(), b"{'descr': '<i8', 'fortran_order': False, 'shape': (8, 4, 4), }\n".into()]
        },
        words: &["descr", "fortran_order", "shape", "True", "False", "<f4", "<f8", "<i4", ">f4", "|O"],
        prepare: camera_beside,
        read: camera,
        ..PLAIN
    },
    Reader {
        name: "npy_bytes",
        file: "poses.npy",
        seeds: |_| vec![wrap::array(ARRAY.as_bytes())],
        prepare: camera_beside,
        read: camera,
        ..PLAIN
    },
    Reader {
        name: "cameras",
        file: "cameras.json",
        seeds: |_| vec![CAMERAS.into()],
        words: &["poses", "intrinsics", "actions"],
        read: camera,
        ..PLAIN
    },
    Reader {
        name: "tokenizer",
        file: "tokenizer.json",
        seeds: tokenizers,
        words: TOKENIZER_WORDS,
        read: tokenizer,
        ..PLAIN
    },
    Reader {
        name: "package",
        file: "wan_package.json",
        seeds: |_| vec![PACKAGE.into()],
        words: &[
            "version",
            "layout",
            "quant",
            "files",
            "path",
            "bytes",
            "crc32",
            "errors",
            "nf4",
            "vae/a.json",
        ],
        prepare: |_, folder| {
            write(&folder.join("vae/a.json"), b"{}");
            write(&folder.join("b.json"), b"[]");
        },
        read: package,
        ..PLAIN
    },
    Reader {
        name: "package_progress",
        file: "wan_package.partial.json",
        seeds: |_| vec![br#"{"version":1,"identity":7,"files":[]}"#.into()],
        words: &["version", "identity", "files"],
        read: package,
        says: "an unfinished package",
        ..PLAIN
    },
    Reader {
        name: "generation_config",
        file: "generation_config.json",
        seeds: |goldens| vec![read(&goldens.join("../../pipeline/assets/demo/generation_config.json"))],
        words: &[
            "width",
            "height",
            "num_frames",
            "fps",
            "guidance_scale",
            "guidance_scale_2",
            "negative_prompt",
        ],
        read: |path| said(GenerationConfig::read(path.parent().unwrap_or(path))),
        ..PLAIN
    },
    Reader {
        name: "model_index",
        file: "model_index.json",
        seeds: |goldens| vec![read(&goldens.join("tiny/diffusers/model_index.json"))],
        words: &["boundary_ratio", "expand_timesteps"],
        read: |path| said(PipelineConfig::read(path.parent().unwrap_or(path))),
        ..PLAIN
    },
    Reader {
        name: "scheduler_config",
        file: "scheduler_config.json",
        seeds: |goldens| vec![read(&goldens.join("tiny/diffusers/scheduler/scheduler_config.json"))],
        words: &["flow_shift", "shift", "use_flow_sigmas", "solver_order", "num_train_timesteps", "bh2"],
        read: |path| said(SchedulerConfig::read(path)),
        ..PLAIN
    },
    Reader {
        name: "transformer_config",
        file: "config.json",
        seeds: |goldens| vec![read(&goldens.join("tiny/diffusers/transformer/config.json"))],
        words: &[
            "num_attention_heads",
            "num_layers",
            "ffn_dim",
            "patch_size",
            "text_dim",
            "_class_name",
            "eps",
        ],
        prepare: |goldens, folder| {
            weights(&goldens.join("tiny/diffusers/transformer/diffusion_pytorch_model.safetensors"), folder);
        },
        read: |path| component(path.parent().unwrap_or(path)),
        ..PLAIN
    },
    Reader {
        name: "text_encoder_config",
        file: "config.json",
        seeds: |goldens| vec![read(&goldens.join("tiny/diffusers/text_encoder/config.json"))],
        words: &["num_layers", "num_heads", "d_model", "d_kv", "relative_attention_max_distance"],
        prepare: |goldens, folder| {
            weights(&goldens.join("tiny/diffusers/text_encoder/model.safetensors"), folder);
        },
        read: |path| component(path.parent().unwrap_or(path)),
        ..PLAIN
    },
    Reader {
        name: "png_chunks",
        file: "x.png",
        wrap: wrap::png,
        seeds: |_| [PNG_RGB, PNG_ALPHA].map(|png| wrap::chunks(png)).into(),
        read: |path| wan_cli::foreign::picture(path),
        bound: PICTURE,
        ..PLAIN
    },
    Reader {
        name: "picture",
        file: "x.picture",
        seeds: |_| [PNG_RGB, JPEG, WEBP, GIF].map(<[u8]>::to_vec).into(),
        read: |path| wan_cli::foreign::picture(path),
        bound: PICTURE,
        ..PLAIN
    },
    Reader {
        name: "noise",
        file: "noise.safetensors",
        wrap: wrap::header,
        seeds: |_| vec![br#"{"noise":{"dtype":"F32","shape":[1,16,4,2,2],"data_offsets":[0,1024]}}"#.into()],
        words: &["noise", "F32", "shape", "data_offsets"],
        read: |path| wan_cli::foreign::noise(path),
        ..PLAIN
    },
    Reader {
        name: "clip",
        file: "x.mp4",
        seeds: |_| [CLIP_MP4, CLIP_GIF, CLIP_WEBP, CLIP_PNG].map(<[u8]>::to_vec).into(),
        read: |path| wan_cli::foreign::clip(path),
        ..PLAIN
    },
    Reader {
        name: "clip_chunks",
        file: "x.png",
        wrap: wrap::png,
        seeds: |_| vec![wrap::chunks(CLIP_PNG)],
        read: |path| wan_cli::foreign::clip(path),
        ..PLAIN
    },
    Reader {
        name: "defaults",
        file: "wan.toml",
        seeds: |_| vec![DEFAULTS.into()],
        words: &[
            "prompt",
            "size",
            "area",
            "steps",
            "model",
            "device",
            "solver",
            "quant",
            "seed",
            "fps",
            "owner/name",
        ],
        read: |path| wan_cli::foreign::defaults(path),
        ..PLAIN
    },
    Reader {
        name: "hub_listing",
        file: "listing.json",
        seeds: |_| vec![LISTING.into()],
        words: &[
            "sha",
            "siblings",
            "rfilename",
            "size",
            "blobId",
            "lfs",
            "sha256",
            "../x",
            "model_index.json",
        ],
        read: |path| said(wan_import::hub_listing(&read(path))),
        ..PLAIN
    },
];

/// A folder in which a reader finds its file.
pub struct Place<'a> {
    reader: &'a Reader,
    path: PathBuf,
}

impl Reader {
    /// Prepares an empty `folder`.
    pub fn place(&self, goldens: &Path, folder: &Path) -> Place<'_> {
        (self.prepare)(goldens, folder);
        Place { reader: self, path: folder.join(self.file) }
    }
}

impl Place<'_> {
    /// Puts a file's bytes in its place.
    pub fn put(&self, file: &[u8]) {
        fs::write(&self.path, file).expect("a place to write to");
    }

    /// What the reader says about the file.
    pub fn read(&self) -> String {
        (self.reader.read)(&self.path)
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap_or(path)).expect("a folder to write to");
    fs::write(path, bytes).expect("a place to write to");
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn weights(from: &Path, folder: &Path) {
    write(&folder.join("diffusion_pytorch_model.safetensors"), &read(from));
}

fn camera_beside(_: &Path, folder: &Path) {
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (64, 4), }\n";
    let lens = [503.0, 503.0, 416.0, 240.0].into_iter().cycle().take(256);
    write(&folder.join("intrinsics.npy"), &wrap::floats(header.as_bytes(), lens));
}

fn said<T, E: std::fmt::Display>(result: Result<T, E>) -> String {
    result.map_or_else(|error| error.to_string(), |_| "good".to_owned())
}

/// Opens a file of tensors, looks at each of them, and asks what network it is.
fn tensors(path: &Path) -> String {
    let source = match wan_import::open(path) {
        Ok(source) => source,
        Err(error) => return error.to_string(),
    };
    for name in source.names() {
        let sum = |bytes: &[u8]| bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        let data = source.data(name).map(|data| sum(&data));
        std::hint::black_box((source.info(name), data, source.packed(name).is_some()));
    }
    component(path)
}

fn component(path: &Path) -> String {
    let component = match Component::open(path) {
        Ok(component) => component,
        Err(error) => return error.to_string(),
    };
    let said = [
        said(component.dit_config()),
        said(component.text_config()),
        said(component.vae_config()),
        said(component.clip_config()),
        said(component.check_runnable()),
        component.released().join(" "),
    ];
    said.join("; ")
}

fn camera(path: &Path) -> String {
    match wan_import::read_camera(path) {
        Ok(camera) => {
            std::hint::black_box(wan_import::camera_files(&camera));
            "good".to_owned()
        }
        Err(error) => error.to_string(),
    }
}

fn tokenizer(path: &Path) -> String {
    match wan_model::text::Tokenizer::from_json(&read(path)) {
        Ok(tokenizer) => said(tokenizer.encode("A red ball, 红色 ball... rolls!", 16)),
        Err(error) => error.to_string(),
    }
}

fn package(path: &Path) -> String {
    let root = path.parent().unwrap_or(path);
    let verified = said(wan_import::verify_package(root, &mut |_, _| std::ops::ControlFlow::Continue(())));
    let source = Source { model: Some(root.to_owned()), ..Source::default() };
    format!("{verified}; {}", said(Checkpoint::open(&source)))
}

/// Small ones of each kind that the library knows.
fn tokenizers(_: &Path) -> Vec<Vec<u8>> {
    [UNIGRAM, BPE, WORD_PIECE].map(|text| text.as_bytes().to_vec()).into()
}

const HEADER: &str = r#"{"__metadata__":{"format":"pt"},
"a.weight":{"dtype":"F32","shape":[8,16],"data_offsets":[0,512]},
"b":{"dtype":"BF16","shape":[4,32],"data_offsets":[512,768]},
"c":{"dtype":"F8_E4M3","shape":[256],"data_offsets":[768,1024]}}"#;
const INT8_HEADER: &str = r#"{"a.weight":{"dtype":"I8","shape":[8,64],"data_offsets":[0,512]},
"a.SCB":{"dtype":"F32","shape":[8],"data_offsets":[512,544]},
"a.weight_format":{"dtype":"U8","shape":[],"data_offsets":[544,545]},
"b.weight":{"dtype":"I8","shape":[7,64],"data_offsets":[545,993]},
"b.weight.scales":{"dtype":"F16","shape":[7,1],"data_offsets":[993,1007]},
"c":{"dtype":"U8","shape":[17],"data_offsets":[1007,1024]}}"#;
const UMT5_HEADER: &str = r#"{"shared.weight":{"dtype":"F16","shape":[16,8],"data_offsets":[0,256]},
"encoder.block.0.layer.0.SelfAttention.q.weight":{"dtype":"F16","shape":[8,8],"data_offsets":[256,384]},
"encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight":{"dtype":"F16","shape":[4,2],"data_offsets":[384,400]},
"encoder.block.0.layer.1.DenseReluDense.wi_0.weight":{"dtype":"F16","shape":[16,8],"data_offsets":[400,656]},
"head.modulation":{"dtype":"F16","shape":[1,2,8],"data_offsets":[656,688]},
"patch_embedding.weight":{"dtype":"F16","shape":[8,16,1,1,1],"data_offsets":[688,944]},
"blocks.0.ffn.0.weight":{"dtype":"F16","shape":[5,8],"data_offsets":[944,1024]}}"#;
const TENSOR_WORDS: &[&str] = &[
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
const STATE: &str = r#"{"quant_type":"nf4","blocksize":64,"dtype":"bfloat16","shape":[8,8]}"#;
const NESTED_STATE: &str = r#"{"quant_type":"nf4","blocksize":64,"dtype":"float16","shape":[8,8],
"nested_blocksize":256,"nested_dtype":"float32","nested_offset":0.04}"#;
const INDEX: &str =
    r#"{"metadata":{"total_size":2048},"weight_map":{"a":"one.safetensors","b":"two.safetensors"}}"#;
const ARRAY: &str = "{'descr': '<f4', 'fortran_order': False, 'shape': (16, 4, 4), }          \n";
const CAMERAS: &str = r#"{"poses":[[[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]],
[[1,0,0,0.5],[0,1,0,0],[0,0,1,1e-1],[0,0,0,1]],
[[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]],
[[1,0,0,0.5],[0,1,0,0],[0,0,1,1e-1],[0,0,0,1]],
[[1,0,0,0],[0,1,0,0],[0,0,1,0],[0,0,0,1]]],
"intrinsics":[[503,503,416,240]],"actions":[[0,1,0,0],[1,0,0,1],[0,0,0,0],[0,0,1,0],[1,1,1,1]]}"#;
const PACKAGE: &str = r#"{"version":1,"layout":"diffusers","quant":"int8","files":[
{"path":"vae/a.json","bytes":2,"crc32":2745614147,"errors":{"k":0.01}},{"path":"b.json","bytes":2,"crc32":223132457}]}"#;

/// Protocol 2: `OrderedDict` of one f32 tensor of 4x4, with the opcodes that torch writes.
const PICKLE: &[u8] = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01X\x01\x00\x00\x00wq\x02ctorch._utils\n_rebuild_tensor_v2\nq\x03((X\x07\x00\x00\x00storageq\x04ctorch\nFloatStorage\nq\x05X\x01\x00\x00\x000q\x06X\x03\x00\x00\x00cpuq\x07K\x10tq\x08QK\x00K\x04K\x04\x86q\tK\x04K\x01\x86q\n\x89h\x00)Rq\x0btq\x0cRq\rs.";

/// Protocol 4: a dict below a name, frames, memoized short text, a parameter.
fn pickle() -> Vec<u8> {
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

const TOKENIZER_WORDS: &[&str] = &[
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
const UNIGRAM: &str = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":1,"content":"</s>",
"single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true}],
"normalizer":{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Replace","pattern":{"Regex":" {2,}"},"content":" "}]},
"pre_tokenizer":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true},
"post_processor":{"type":"TemplateProcessing","single":[{"Sequence":{"id":"A","type_id":0}},{"SpecialToken":{"id":"</s>","type_id":0}}],
"pair":[],"special_tokens":{"</s>":{"id":"</s>","ids":[1],"tokens":["</s>"]}}},
"decoder":{"type":"Metaspace","replacement":"▁","prepend_scheme":"always","split":true},
"model":{"type":"Unigram","unk_id":2,"vocab":[["<pad>",0.0],["</s>",0.0],["<unk>",0.0],["▁",-2.5],["red",-5.0],["ball",-5.25],["a",-3.0],["l",-3.5]],"byte_fallback":false}}"#;
const BPE: &str = r#"{"version":"1.0","added_tokens":[{"id":5,"content":"</s>","single_word":true,"lstrip":true,"rstrip":true,
"normalized":true,"special":false}],"normalizer":{"type":"Lowercase"},"pre_tokenizer":{"type":"Split","pattern":{"Regex":"\\p{L}+|\\d"},
"behavior":"Isolated","invert":true},"post_processor":{"type":"ByteLevel","add_prefix_space":true,"trim_offsets":false,"use_regex":true},
"decoder":{"type":"ByteFallback"},"model":{"type":"BPE","dropout":null,"unk_token":"r","continuing_subword_prefix":null,
"end_of_word_suffix":null,"fuse_unk":true,"byte_fallback":true,"vocab":{"r":0,"e":1,"d":2,"re":3,"red":4},"merges":["r e",["re","d"]]}}"#;
const WORD_PIECE: &str = r###"{"version":"1.0","added_tokens":[{"id":0,"content":"</s>","special":true}],"normalizer":{"type":"BertNormalizer",
"clean_text":true,"handle_chinese_chars":true,"strip_accents":null,"lowercase":true},"pre_tokenizer":{"type":"BertPreTokenizer"},
"post_processor":{"type":"BertProcessing","sep":["</s>",0],"cls":["</s>",0]},"decoder":{"type":"WordPiece","prefix":"##","cleanup":true},
"model":{"type":"WordPiece","unk_token":"</s>","continuing_subword_prefix":"##","max_input_chars_per_word":100,"vocab":{"</s>":0,"red":1,"##s":2}}}"###;

const DEFAULTS: &str = "prompt = \"a fox\"\nsize = \"832x480\"\nsteps = 30\nshift = 5.0\nmodel = \"Wan-AI/Wan2.1\"\n\
device = \"wgpu:1\"\nsolver = \"dpm++\"\nseed = 7\nimage = 'a.png'\nquant = \"nf4\"\narea = \"480p\"\nfps = 16\n";
const LISTING: &str = r#"{"id":"a/b","sha":"0123456789abcdef0123456789abcdef01234567","siblings":[
{"rfilename":"model_index.json","size":2,"blobId":"9e26dfeeb6e641a33dae4961196235bdb965b21b"},
{"rfilename":"vae/x.safetensors","size":9,"blobId":"9e26dfeeb6e641a33dae4961196235bdb965b21b","lfs":{"sha256":
"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03","size":9,"pointerSize":135}},{"rfilename":"README.md"}]}"#;

/// One frame of 16x16 pixels, with its settings.
const CLIP_MP4: &[u8] = include_bytes!("../corpus/clip.mp4");
const CLIP_GIF: &[u8] = include_bytes!("../corpus/clip.gif");
const CLIP_WEBP: &[u8] = include_bytes!("../corpus/clip.webp");
const CLIP_PNG: &[u8] = include_bytes!("../corpus/clip.png");
/// 8x8 pixels each.
const PNG_RGB: &[u8] = include_bytes!("../corpus/rgb.png");
const PNG_ALPHA: &[u8] = include_bytes!("../corpus/alpha.png");
const JPEG: &[u8] = include_bytes!("../corpus/small.jpg");
const WEBP: &[u8] = include_bytes!("../corpus/small.webp");
const GIF: &[u8] = include_bytes!("../corpus/small.gif");
