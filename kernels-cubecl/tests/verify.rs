//! The checks of `verify` on every device: all green, each by its own form where one exists.

use testkit::{TestDevice, devices, reference_device};
use wan_kernels::{
    DeviceCaps, DeviceKind, Road, fallbacks,
    verify::{Check, Depth, Verdict, cases},
};

fn assert_green(name: &str, check: &Check, kind: DeviceKind) {
    let what = format!("{name} {} {} {:?} {:?}", check.name, check.size, check.shape, check.dtype);
    assert_eq!(check.verdict(), Verdict::Passed, "{what}: {check:?}");
    let own = if kind == DeviceKind::Other { Road::Reference } else { Road::Custom };
    assert_eq!((check.road, &check.cause), (own, &None), "{what}");
}

#[test]
fn the_short_form_is_green_everywhere() {
    for TestDevice { name, device, .. } in &devices() {
        let kind = DeviceCaps::of(device).kind;
        for case in cases(device, Depth::Short) {
            let check = case.run(device, &reference_device());
            assert_green(name, &check, kind);
            assert_eq!(check.plain, None, "nothing that is not needed");
        }
    }
    assert_eq!(fallbacks(), vec![]);
}

/// Small odd sizes everywhere; sizes of models but the largest on the host, which computes them in seconds.
#[test]
fn the_full_form_is_green_everywhere() {
    for TestDevice { name, device, gpu } in &devices() {
        let kind = DeviceCaps::of(device).kind;
        let runs = |size| size == "small" || (!gpu && size != "14B");
        for case in cases(device, Depth::Full).iter().filter(|case| runs(case.size())) {
            let check = case.run(device, &reference_device());
            assert_green(name, &check, kind);
            let (own, plain) = (check.own.expect("it passed"), check.plain.expect("it is the full form"));
            assert!(own.seconds > 0.0 && plain.expect("it passed").seconds > 0.0);
            let sampled = check.compared_rows < check.rows;
            assert_eq!(sampled, case.size() != "small" && check.rows > 16, "{}", check.name);
        }
    }
}

#[test]
fn models_are_checked_at_their_sizes() {
    let cases = cases(&burn::tensor::Device::flex(), Depth::Full);
    let has = |name, size, shape: &[usize]| {
        cases.iter().any(|case| (case.name(), case.size(), case.shape()) == (name, size, shape))
    };
    assert!(has("attention", "14B", &[1, 40, 1_024, 1_024, 128]));
    assert!(has("attention", "1.3B", &[1, 12, 1_024, 512, 128]));
    assert!(has("gelu_bias", "14B", &[1, 1_024, 13_824]));
    assert!(has("rms_norm", "text", &[1, 512, 4_096]));
    assert!(has("silu", "VAE", &[96, 1, 60, 104]));
}
