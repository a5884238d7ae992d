//! Every reader of foreign bytes as a function of bytes: for fuzzers, and for the mutations of `mutate`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use wan_import::{
    Checkpoint, Component, GenerationConfig, PipelineConfig, SchedulerConfig, Source, TensorSource,
};

use super::{seeds::*, wrap};

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
    bound: usize,
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
pub const READERS: [Reader; 27] = [
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
        prepare: packaged,
        read: package,
        ..PLAIN
    },
    Reader {
        name: "package_progress",
        file: "wan_package.partial.json",
        seeds: |_| vec![PROGRESS.into(), br#"{"version":1,"identity":7,"files":[]}"#.into()],
        words: &["version", "identity", "files", "path", "bytes", "crc32", "errors", "vae/a.json"],
        prepare: packaged,
        read: |path| format!("{:?}", wan_import::finished_files(path.parent().unwrap_or(path), 7)),
        says: "Ok(2)",
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
        seeds: |_| [PNG_RGB, PNG_ALPHA].map(wrap::chunks).into(),
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
    Reader {
        name: "state",
        file: "state.safetensors",
        wrap: wrap::state,
        seeds: |_| vec![STATE_JSON.into()],
        words: &[
            "format", "version", "settings", "given", "step", "weights", "inputs", "sha256", "latents",
            "demo",
        ],
        read: |path| wan_cli::foreign::state(path),
        ..PLAIN
    },
    Reader {
        name: "state_file",
        file: "state.safetensors",
        seeds: |_| vec![wrap::state(STATE_JSON.as_bytes())],
        read: |path| wan_cli::foreign::state(path),
        ..PLAIN
    },
    Reader {
        name: "decoded",
        file: "decode.json",
        seeds: |_| vec![DECODED.into()],
        words: &[
            "frame",
            "frames",
            "frame_bytes",
            "floats",
            "layers",
            "file",
            "bytes",
            "crc32",
            "memory.safetensors",
        ],
        prepare: |_, folder| {
            write(&folder.join("frames.raw"), &[7; 24]);
            write(&folder.join("memory.safetensors"), &wrap::header(MEMORY.as_bytes()));
        },
        read: |path| wan_cli::foreign::decoded(path),
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

    /// Bytes that it may hold while it reads `file`.
    pub fn most(&self, file: &[u8]) -> usize {
        10 * file.len() + self.bound
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

pub(super) fn write(path: &Path, bytes: &[u8]) {
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
