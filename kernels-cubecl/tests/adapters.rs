//! What the dispatch chooses on adapters that are not here.

#[path = "support/adapters.rs"]
#[allow(dead_code, reason = "what only compilers ask")]
mod adapters;

use std::{collections::BTreeSet, fs, path::Path};

use adapters::{ADAPTERS, Adapter, Language, Road};
use burn::tensor::DType;
use wan_kernels::{
    DeviceCaps, FUSED,
    kernels::{
        attention::{matrix::Units, units},
        matrix_units,
    },
};

fn caps(adapter: &Adapter, road: Road) -> DeviceCaps {
    let runtime = match road.language {
        Language::Wgsl => "wgpu<wgsl>",
        Language::SpirV => "wgpu<spirv>",
        Language::Msl => "wgpu<msl>",
    };
    DeviceCaps::from_properties(&adapter.properties(road), runtime)
}

fn everywhere(check: impl Fn(&str, &Adapter, Road, DeviceCaps)) {
    for adapter in &ADAPTERS {
        for &road in adapter.roads {
            let what = format!("{} in {:?}", adapter.name, road.language);
            check(&what, adapter, road, caps(adapter, road));
        }
    }
}

/// Matrices of 8 on Apple's chips through Metal, of 16 on NVIDIA's through Vulkan; nowhere in WGSL, nowhere in f32, not
/// in planes of no fixed size, not for heads that 16 does not divide.
#[test]
fn attention_takes_matrices_where_the_table_says() {
    everywhere(|what, adapter, road, caps| {
        let plane = adapter.plane_size.0 as usize;
        let packed = road.language == Language::SpirV;
        let planes = if packed { 8 } else { 4 };
        let units = |edge: u32| Units {
            edge: edge as usize,
            plane,
            planes,
            rows: 16,
            keys: 32,
            packed,
            together: adapter.software,
        };
        let used = road.used.map(units);
        for d in [16, 64, 80, 128] {
            assert_eq!(matrix_units(&caps, DType::F16, d), used, "{what}, heads of {d}");
        }
        assert_eq!(matrix_units(&caps, DType::F32, 128), None, "{what}, f32");
        assert_eq!(matrix_units(&caps, DType::F16, 72), None, "{what}, heads of 72");
        assert_eq!(caps.matrix_tiles.len(), usize::from(road.offered.is_some()), "{what}");
    });
}

/// A device whose shared memory or cubes are too small for the matrix form takes the other.
#[test]
fn attention_takes_matrices_only_where_they_fit() {
    let (m4, road) = (ADAPTERS[1], ADAPTERS[1].roads[0]);
    let caps = caps(&m4, road);
    let bytes = matrix_units(&caps, DType::F16, 128).expect("they fit").shared_bytes(128);
    let small = DeviceCaps { shared_memory_bytes: bytes - 1, ..caps.clone() };
    assert_eq!(matrix_units(&small, DType::F16, 128), None);
    let exact = DeviceCaps { shared_memory_bytes: bytes, ..caps.clone() };
    assert!(matrix_units(&exact, DType::F16, 128).is_some());
    let narrow = DeviceCaps { max_units_per_cube: 127, ..caps };
    assert_eq!(matrix_units(&narrow, DType::F16, 128), None);
}

#[test]
fn every_adapter_has_what_the_kernels_need() {
    everywhere(|what, adapter, road, caps| {
        for operation in FUSED {
            let needs = operation.cube.expect("a kernel");
            assert_eq!(needs.check(operation.name, &caps), Ok(()), "{what}");
        }
        assert!(caps.handles(DType::F16) && caps.handles(DType::F32), "{what}");
        assert_eq!(caps.handles(DType::BF16), road.language == Language::Msl, "{what}");
        assert_eq!(caps.software, adapter.software, "{what}");
    });
}

/// WebGPU guarantees 16,384 bytes; the form for any adapter takes more, and is refused by name where that is all.
#[test]
fn attention_is_refused_where_shared_memory_is_short() {
    let caps = DeviceCaps { shared_memory_bytes: 16_384, ..caps(&ADAPTERS[4], ADAPTERS[4].roads[1]) };
    let attention = FUSED.into_iter().find(|operation| operation.name == "attention").and_then(|o| o.cube);
    let error = attention.expect("a kernel").check("attention", &caps).expect_err("too much");
    let needed = units::SHARED_BYTES;
    assert_eq!(
        error.to_string(),
        format!("attention: {needed} bytes of shared memory are needed, the device has 16384")
    );
}

/// The compilers for Vulkan and Metal live in a workspace of their own; what they compile with is what is shipped.
#[test]
fn the_lowering_suite_locks_the_versions_of_the_product() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let locked = |path: &str| {
        let text = fs::read_to_string(here.join(path)).expect("a lock file");
        let lines: Vec<&str> = text.lines().collect();
        let compilers = ["cubecl", "naga", "pliron", "tracel-rspirv", "wgpu"];
        let ours = |line: &str| compilers.iter().any(|name| line.starts_with(&format!("name = \"{name}")));
        let pairs = lines.windows(2).filter(|pair| ours(pair[0]));
        pairs.map(|pair| pair.join(" ")).collect::<BTreeSet<String>>()
    };
    let (own, product) = (locked("lowering/Cargo.lock"), locked("../Cargo.lock"));
    let other: Vec<_> = own.difference(&product).collect();
    assert!(own.len() > 10 && other.is_empty(), "not the product's: {other:?}");
}
