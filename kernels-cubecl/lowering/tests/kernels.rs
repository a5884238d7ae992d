//! Every kernel, in every form and in every language each adapter takes.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use wan_lowering::{
    adapters::{ADAPTERS, Adapter, Language},
    compile, inspect,
    rows::{Launch, ROWS, Site},
};

/// Storage buffers of a kernel, CubeCL's own metadata among them: WebGPU's eight, less the one that wgpu takes.
const BUFFERS: usize = 7;

/// Threadgroup memory of every Apple GPU, and of most others.
const SHARED_BYTES: usize = 32_768;

/// What WebGPU guarantees; attention alone takes more.
const WEBGPU_SHARED_BYTES: usize = 16_384;

/// Capabilities of SPIR-V, by its registry.
const FLOAT64: u32 = 10;
const BFLOAT16_TYPE: u32 = 5116;
const COOPERATIVE_MATRIX: u32 = 6022;

/// Compiles every form of every kernel for the adapters that take `language`, checks what came out on each of them,
/// and fails with all it found. A form is compiled once for adapters that lay out shared memory alike: nothing else
/// of them is in the code.
fn every_launch<T>(
    language: Language,
    compile: impl Fn(&Adapter, &Launch) -> Result<T, String>,
    check: impl Fn(&Adapter, &Launch, &T) -> Result<(), String>,
) {
    let (mut compiled, mut wrong) = (BTreeMap::new(), Vec::new());
    for adapter in &ADAPTERS {
        for &road in adapter.roads.iter().filter(|road| road.language == language) {
            let site = Site::new(adapter, road);
            for row in ROWS {
                let launches = (row.launches)(&site);
                let none = match row.name {
                    "matrix_attention" => road.used.is_none(),
                    // Where matrices may be loaded from words.
                    "linear" => road.used.is_none() || language != Language::SpirV,
                    _ => false,
                };
                assert_eq!(launches.is_empty(), none, "{} on {}", row.name, adapter.name);
                for launch in launches {
                    let what = format!("{} {}, {} tensors", row.name, launch.form, launch.tensors);
                    let key = (what.clone(), adapter.explicit_layout);
                    let code = compiled.entry(key).or_insert_with(|| compile(adapter, &launch)).as_ref();
                    if let Err(why) =
                        code.map_err(String::clone).and_then(|code| check(adapter, &launch, code))
                    {
                        wrong.push(format!("{what} on {}: {why}", adapter.name));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} kernels:\n{}", wrong.len(), wrong.join("\n"));
}

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

/// Shared memory and buffers are what the launch says and what the adapter has.
fn fits(adapter: &Adapter, launch: &Launch, bytes: usize, tensors: usize) -> Result<(), String> {
    // Forms for matrix units are chosen by what the adapter has.
    let least = if launch.matrix.is_some() { usize::MAX } else { SHARED_BYTES };
    let limit = adapter.shared_memory_bytes.min(least);
    ensure(bytes <= launch.shared_bytes, || format!("{bytes} shared bytes, {} said", launch.shared_bytes))?;
    ensure(bytes <= limit, || format!("{bytes} shared bytes of {limit}"))?;
    ensure(tensors == launch.tensors, || format!("{tensors} tensors of {}", launch.tensors))?;
    ensure(tensors < BUFFERS, || format!("{tensors} tensors and the metadata"))
}

/// Text without types that wgpu's Metal has not, or no Metal.
fn has_metal_types_only(msl: &str) -> Result<(), String> {
    ensure(!inspect::has_word(msl, "double"), || "f64".to_owned())?;
    ensure(!inspect::has_prefix(msl, "bfloat"), || "bf16".to_owned())
}

/// The text can be read here and no more: Apple's compiler is on macOS alone.
#[test]
fn msl() {
    let compile = |_: &Adapter, launch: &Launch| compile::msl(launch.define());
    every_launch(Language::Msl, compile, |adapter, launch, (text, counted)| {
        let declared = inspect::threadgroup_bytes(text);
        ensure(declared == *counted, || format!("{declared} threadgroup bytes declared, {counted} counted"))?;
        fits(adapter, launch, declared, text.matches("[[buffer(").count())?;
        has_metal_types_only(text)?;
        let matrices = ["simdgroup_half8x8", "simdgroup_float8x8", "simdgroup_multiply_accumulate"];
        for word in matrices {
            let claimed = launch.matrix.is_some();
            ensure(inspect::has_word(text, word) == claimed, || format!("{word} and claimed {claimed}"))?;
        }
        Ok(())
    });
}

/// naga validates it, as it does inside wgpu, and writes the MSL that Macs before macOS 15 run and the SPIR-V that
/// Vulkan runs without our feature `vulkan`.
#[test]
fn wgsl() {
    let compile = |_: &Adapter, launch: &Launch| {
        let (text, counted) = compile::wgsl(launch.define())?;
        let module = compile::naga_module(&text)?;
        has_metal_types_only(&compile::naga_msl(&module)?)?;
        let words = inspect::without_shared_strides(&compile::naga_spirv(&module)?);
        inspect::spirv_val(&words, "vulkan1.1")?;
        let bytes = inspect::workgroup_bytes(&module.0);
        ensure(bytes == counted, || format!("{bytes} workgroup bytes, {counted} counted"))?;
        // The metadata is one more.
        Ok((bytes, inspect::bindings(&module.0) - 1))
    };
    every_launch(Language::Wgsl, compile, |adapter, launch, &(bytes, tensors)| {
        ensure(launch.matrix.is_none(), || "no matrices in WGSL".to_owned())?;
        let guaranteed = bytes <= WEBGPU_SHARED_BYTES || launch.form.starts_with("Form");
        ensure(guaranteed, || format!("{bytes} workgroup bytes are more than WebGPU guarantees"))?;
        fits(adapter, launch, bytes, tensors)
    });
    report();
}

/// `spirv-val` validates it. naga cannot: see [`naga_reads_no_buffer_addresses`].
#[test]
fn spirv() {
    let compile = |adapter: &Adapter, launch: &Launch| {
        let (words, counted) = compile::spirv(launch.define(), adapter)?;
        Ok((counted, inspect::capabilities(&words), inspect::spirv_val(&words, "vulkan1.3")))
    };
    every_launch(Language::SpirV, compile, |adapter, launch, (counted, capabilities, said)| {
        ensure(*counted <= launch.shared_bytes, || {
            format!("{counted} shared bytes, {} said", launch.shared_bytes)
        })?;
        ensure(*counted <= adapter.shared_memory_bytes, || format!("{counted} shared bytes"))?;
        ensure(!capabilities.contains(&FLOAT64), || "f64".to_owned())?;
        ensure(!capabilities.contains(&BFLOAT16_TYPE), || "bf16".to_owned())?;
        let matrices = capabilities.contains(&COOPERATIVE_MATRIX);
        ensure(matrices == launch.matrix.is_some(), || format!("cooperative matrices: {matrices}"))?;
        if adapter.explicit_layout || launch.shared_bytes == 0 {
            return said.clone();
        }
        // CubeCL 0.11.3 declares shared memory without an explicit layout as a pointer to a pointer.
        let known = inspect::passed_over() > 0 || said.is_err();
        ensure(known, || "shared memory without an explicit layout is valid by now: say so here".to_owned())
    });
    report();
}

/// CubeCL's SPIR-V takes buffers by their addresses, which naga's front end does not know.
#[test]
fn naga_reads_no_buffer_addresses() {
    let adapter = &ADAPTERS[2];
    let silu = ROWS.iter().find(|row| row.name == "silu").expect("a row");
    let launch = &(silu.launches)(&Site::new(adapter, adapter.roads[0]))[0];
    let (words, _) = compile::spirv(launch.define(), adapter).expect("SPIR-V");
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let error = naga::front::spv::parse_u8_slice(&bytes, &Default::default()).expect_err("addresses");
    assert_eq!(error.to_string(), "unsupported capability PhysicalStorageBufferAddresses");
}

/// The sources' kernels are those that can be launched: by the attribute of their functions.
#[test]
fn every_kernel_has_a_row() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let rows: String =
        sources(&here.join("src")).iter().map(|path| fs::read_to_string(path).expect("rows")).collect();
    let mut kernels = Vec::new();
    for path in sources(&here.join("../src")) {
        let text = fs::read_to_string(&path).expect("a source");
        let launched = text.split("#[cube(launch").skip(1);
        let named =
            launched.map(|after| after.split("pub fn ").nth(1).and_then(|fun| fun.split(['<', '(']).next()));
        kernels.extend(named.map(|name| name.expect("a function").to_owned()));
    }
    assert!(kernels.len() >= 8, "{kernels:?}");
    let missing: Vec<_> =
        kernels.iter().filter(|name| !rows.contains(&format!("{name}::create_dummy_kernel"))).collect();
    assert!(missing.is_empty(), "no row launches {missing:?}");
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of sources");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

fn report() {
    if inspect::passed_over() > 0 {
        inspect::say(&format!("{} modules were not validated", inspect::passed_over()));
    }
}
