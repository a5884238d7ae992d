//! Which device a request gets, over made-up machines.
#![allow(clippy::unwrap_used)]

use wan_cli::devices::{
    Adapter, AdapterKind, DeviceChoice, DeviceChoices, Target, automatic, resolve, resolve_all,
};

fn machine(kinds: &[AdapterKind]) -> Vec<Adapter> {
    kinds.iter().enumerate().map(|(index, &kind)| adapter(index, kind, kinds)).collect()
}

fn adapter(index: usize, kind: AdapterKind, kinds: &[AdapterKind]) -> Adapter {
    Adapter {
        device: Some(format!("wgpu:{index}")),
        name: format!("adapter {index}"),
        backend: "vulkan".to_owned(),
        kind,
        ordinal: kinds[..index].iter().filter(|&&k| k == kind).count(),
        driver: String::new(),
        max_buffer_bytes: 0,
        max_storage_binding_bytes: 0,
        workgroup_memory_bytes: 0,
        invocations_per_workgroup: 0,
        storage_buffers_per_stage: 0,
        f16: false,
        bf16: false,
        matrix_units: false,
        spirv: false,
    }
}

fn name(target: &Target) -> &str {
    match target {
        Target::Wgpu(id) => &id.name,
        Target::Cpu => "cpu",
        _ => "other",
    }
}

#[test]
fn automatic_prefers_real_adapters_and_the_host_over_a_software_one() {
    use AdapterKind::{Discrete, Integrated, Other, Software, Virtual};
    let cases: [(&[AdapterKind], &str); 6] = [
        (&[Integrated, Software, Discrete, Discrete], "adapter 2"),
        (&[Virtual, Integrated], "adapter 1"),
        (&[Software, Virtual], "adapter 1"),
        (&[Other, Software], "adapter 0"),
        (&[Software], "cpu"),
        (&[], "cpu"),
    ];
    for (kinds, expected) in cases {
        assert_eq!(name(&automatic(&machine(kinds))), expected, "{kinds:?}");
    }
}

#[test]
fn an_index_counts_all_adapters_and_becomes_an_ordinal_of_its_kind() {
    let machine = machine(&[AdapterKind::Integrated, AdapterKind::Discrete, AdapterKind::Discrete]);
    let Target::Wgpu(id) = resolve(DeviceChoice::Wgpu(Some(2)), &machine).unwrap() else {
        panic!("not wgpu")
    };
    assert_eq!((id.kind, id.ordinal), (AdapterKind::Discrete, 1));
    let Target::Wgpu(id) = resolve(DeviceChoice::Wgpu(None), &machine).unwrap() else { panic!("not wgpu") };
    assert_eq!((id.kind, id.ordinal), (AdapterKind::Discrete, 0));
    let refused = resolve(DeviceChoice::Wgpu(Some(3)), &machine).unwrap_err();
    assert!(refused.message.contains("wgpu:3"), "{refused}");
}

#[test]
fn a_software_adapter_is_used_when_named() {
    let target = resolve(DeviceChoice::Wgpu(None), &machine(&[AdapterKind::Software])).unwrap();
    assert_eq!(name(&target), "adapter 0");
}

#[test]
fn flags_parse() {
    for (text, expected) in [
        ("auto", DeviceChoice::Auto),
        ("cpu", DeviceChoice::Cpu),
        ("wgpu", DeviceChoice::Wgpu(None)),
        ("wgpu:1", DeviceChoice::Wgpu(Some(1))),
        ("vulkan:0", DeviceChoice::Vulkan(Some(0))),
        ("metal", DeviceChoice::Metal),
    ] {
        assert_eq!(text.parse(), Ok(expected));
    }
    for text in ["", "cpu:1", "metal:0", "wgpu:", "wgpu:-1", "cuda"] {
        assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
    }
}

#[test]
fn several_devices_can_be_asked_for_where_that_makes_sense() {
    assert_eq!("all".parse(), Ok(DeviceChoices::All));
    assert_eq!("wgpu:1".parse(), Ok(DeviceChoices::One(DeviceChoice::Wgpu(Some(1)))));
    assert!("cuda".parse::<DeviceChoices>().unwrap_err().ends_with("metal, or all"));
    assert_eq!(resolve_all(DeviceChoices::One(DeviceChoice::Cpu)), Ok(vec![Target::Cpu]));
    assert_eq!(resolve_all(DeviceChoices::All).unwrap()[0], Target::Cpu);
}
