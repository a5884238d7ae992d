//! `cargo bench --bench kernels [-- FILTER]`: the kernels and their references under criterion, on `WAN_DEVICE`
//! (`cpu`, or `wgpu`), at the sizes a call of which takes under `WAN_SECONDS` (0.2).

use std::time::Duration;

use burn::tensor::{Device, DeviceKind};
use criterion::{Criterion, criterion_group, criterion_main};
use wan_benches::kernels::{Options, Peak, Work, cases, dtypes};

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn kernels(criterion: &mut Criterion) {
    let device = match variable("WAN_DEVICE").as_deref() {
        Some("wgpu") => Device::wgpu(DeviceKind::DefaultDevice),
        _ => Device::flex(),
    };
    let seconds = variable("WAN_SECONDS").and_then(|text| text.parse().ok()).unwrap_or(0.2);
    let options = Options { device: device.clone(), only: None, seconds };
    for dtype in dtypes(&device) {
        let peak = Peak::of(&device, dtype);
        for case in cases(&options, dtype).filter(|case| case.refusal(&options, peak).is_none()) {
            let mut forms = case.prepare(&device);
            let mut group = criterion.benchmark_group(format!("{}/{}", case.operation, case.dtype.name()));
            let mut bench = |form: &str, work: &mut Work| {
                group.bench_function(format!("{}/{form}", case.shape), |bencher| {
                    bencher.iter(|| {
                        work();
                        assert!(device.sync().is_ok(), "the device failed");
                    });
                });
            };
            bench("custom", &mut forms.custom);
            bench("reference", &mut forms.reference);
            group.finish();
        }
    }
}

criterion_group! {
    name = all;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = kernels
}
criterion_main!(all);
