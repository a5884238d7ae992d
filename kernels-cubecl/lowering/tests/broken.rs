//! Kernels that are wrong on purpose, so that the checks are known to see it.

use std::sync::Arc;

use cubecl::{CubeKernel, prelude::*};
use cubecl_common::device::{DeviceId, ServiceId};
use cubecl_environment::stream::StreamId;
use wan_lowering::{
    adapters::{ADAPTERS, Adapter, Road},
    compile, inspect,
};

/// More shared memory than Metal has.
#[cube(launch_unchecked, create_dummy_kernel)]
fn hoarder(x: &mut [f32]) {
    let mut shared = Shared::<[f32]>::new_slice(10_000usize);
    shared[UNIT_POS as usize] = x[UNIT_POS as usize];
    sync_cube();
    x[UNIT_POS as usize] = shared[63 - UNIT_POS as usize];
}

/// Sums in f64.
#[cube(launch_unchecked, create_dummy_kernel)]
fn doubler(x: &mut [f32]) {
    let wide = f64::cast_from(x[UNIT_POS as usize]);
    x[UNIT_POS as usize] = f32::cast_from(wide * wide);
}

/// In bf16.
#[cube(launch_unchecked, create_dummy_kernel)]
fn rounder<F: Float>(x: &mut [F], #[define(F)] _elem: ElemType) {
    x[UNIT_POS as usize] *= x[UNIT_POS as usize];
}

/// Arguments of a definition for `adapter`: its properties, the runtime's, cubes and units.
type Site = (Arc<DeviceProperties>, Arc<TargetProperties>, CubeCount, CubeDim);

fn site(adapter: &Adapter, road: Road) -> Site {
    let properties = Arc::new(adapter.properties(road));
    (properties, Arc::default(), CubeCount::Static(1, 1, 1), CubeDim::new_1d(64))
}

fn buffer() -> BufferArg {
    let service = ServiceId::of::<()>(DeviceId { type_id: 0, index_id: 0 });
    // SAFETY: nothing is launched, so nothing is read or written.
    unsafe { BufferArg::from_raw_parts(cubecl::server::Handle::new(service, StreamId::current(), 64), 16) }
}

#[test]
fn too_much_shared_memory_is_seen() {
    let [msl, wgsl] = [0, 1].map(|road| site(&ADAPTERS[0], ADAPTERS[0].roads[road]));
    let define = |(properties, target, cubes, units): Site| {
        hoarder::create_dummy_kernel(properties, target, cubes, units, buffer()).define()
    };
    let (text, counted) = compile::msl(define(msl)).expect("MSL");
    assert_eq!((inspect::threadgroup_bytes(&text), counted), (40_000, 40_000));
    let (text, counted) = compile::wgsl(define(wgsl)).expect("WGSL");
    let module = compile::naga_module(&text).expect("valid, if too large");
    assert_eq!((inspect::workgroup_bytes(&module.0), counted), (40_000, 40_000));
}

#[test]
fn f64_is_seen() {
    let [msl, wgsl] = [0, 1].map(|road| site(&ADAPTERS[0], ADAPTERS[0].roads[road]));
    let define = |(properties, target, cubes, units): Site| {
        doubler::create_dummy_kernel(properties, target, cubes, units, buffer()).define()
    };
    let seen = match compile::msl(define(msl)) {
        Ok((text, _)) => inspect::has_word(&text, "double"),
        Err(_) => true,
    };
    assert!(seen, "f64 in MSL");
    let valid = compile::wgsl(define(wgsl)).and_then(|(text, _)| compile::naga_module(&text));
    assert!(valid.is_err(), "f64 in WGSL");
}

#[test]
fn bf16_is_seen() {
    let (properties, target, cubes, units) = site(&ADAPTERS[0], ADAPTERS[0].roads[0]);
    let bf16 = ElemType::Float(cubecl::ir::FloatKind::BF16);
    let kernel = rounder::create_dummy_kernel(properties, target, cubes, units, buffer(), bf16);
    let (text, _) = compile::msl(kernel.define()).expect("MSL");
    assert!(inspect::has_prefix(&text, "bfloat"), "{text}");
}
