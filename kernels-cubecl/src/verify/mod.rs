//! Every kernel against its reference on a device, as `wan doctor` and a first run check it.
//!
//! A [`Case`] is one operation at one size in one dtype. It runs the own form, whatever `WAN_KERNELS` and
//! [`refuse`](crate::refuse) say, and the same inputs through the portable code on a host device in f32; their
//! difference decides. The portable code on the device itself, which is what a fallback would run, is measured beside
//! it, so that a device on which plain tensor operations are wrong is told from one on which a kernel is. Of long
//! inputs a few rows are compared. A new operation is one row of [`subjects::SUBJECTS`].

mod attention;
mod check;
mod draw;
mod elementwise;
mod norms;
mod quant;
mod rows;
mod subjects;
mod video;

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use burn::{
    prelude::*,
    tensor::{DType, FloatDType},
};

use crate::{
    DeviceCaps, DeviceKind, Road,
    dispatch::{Decision, forced},
    split,
};
pub use check::{Check, Difference, Measured, Verdict};
use draw::Draw;
use rows::Rows;
use subjects::{Call, Dims, Half, L, SUBJECTS, Subject};

/// To be raised whenever a kernel, a twin or a check changes: what was found out before no longer holds then.
pub const REVISION: u32 = 6;

/// How much is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Each operation once, at a small size of the form that the models run; f16 where a model runs it.
    Short,
    /// Each operation at small odd sizes and at one real size of each model, in every dtype.
    Full,
}

/// Tokens that stand for a model's tens of thousands: on a graphics card, on the host, on a software adapter, and on a
/// host that runs references alone.
const LENGTHS: [usize; 4] = [4_096, 1_024, 128, 64];

/// Whatever takes a software device longer than this is not run again to be timed.
const PATIENCE_SECONDS: f64 = 0.5;

/// One check that can be run.
#[derive(Clone, Debug)]
pub struct Case {
    subject: &'static Subject,
    size: &'static str,
    dims: Dims,
    dtype: FloatDType,
    /// A real size: compared by a sample of its rows.
    real: bool,
    depth: Depth,
}

/// The checks for `device` in their order.
pub fn cases(device: &Device, depth: Depth) -> Vec<Case> {
    let caps = DeviceCaps::of(device);
    let cases = SUBJECTS.iter().flat_map(|subject| {
        let small = subject.small.iter().map(|&dims| ("small", dims, false));
        let real = subject.real.iter().map(|&(size, dims)| (size, subject.scaled(dims, &caps), true));
        let sizes: Vec<_> = match depth {
            Depth::Short => small.take(1).collect(),
            Depth::Full => small.chain(real).collect(),
        };
        dtypes(subject, &caps, depth).into_iter().flat_map(move |dtype| {
            let case = move |(size, dims, real)| Case { subject, size, dims, dtype, real, depth };
            sizes.clone().into_iter().map(case)
        })
    });
    cases.collect()
}

fn dtypes(subject: &Subject, caps: &DeviceCaps, depth: Depth) -> Vec<FloatDType> {
    let half = match subject.half {
        Half::Never => false,
        Half::Possible => depth == Depth::Full,
        Half::Common => true,
    };
    let able = caps.kind != DeviceKind::Other && caps.handles(DType::F16);
    if half && able { vec![FloatDType::F32, FloatDType::F16] } else { vec![FloatDType::F32] }
}

impl Subject {
    /// `dims` with the length that a device bears, every tensor within one binding.
    fn scaled(&self, dims: Dims, caps: &DeviceCaps) -> Dims {
        let row_bytes = (self.width)(dims) * size_of::<f32>();
        let length = match (caps.kind, caps.software) {
            (DeviceKind::Cube, false) => LENGTHS[0],
            (DeviceKind::Flex, _) => LENGTHS[1],
            (DeviceKind::Cube, true) => LENGTHS[2],
            (DeviceKind::Other, _) => LENGTHS[3],
        };
        let length = length.min(split::rows_per_binding(row_bytes as u64, caps)).max(1);
        dims.map(|n| if n == L { length } else { n })
    }
}

impl Case {
    /// The operation as people know it, such as `rope_attention`.
    pub fn name(&self) -> &'static str {
        self.subject.name
    }

    /// `small`, or the model that has this size.
    pub fn size(&self) -> &'static str {
        self.size
    }

    pub fn dtype(&self) -> DType {
        self.dtype.into()
    }

    /// The sizes of the operation's axes, without those it does not have.
    pub fn shape(&self) -> &[usize] {
        let used = self.dims.iter().rposition(|&n| n != 1).map_or(1, |last| last + 1);
        &self.dims[..used]
    }

    /// Runs the check. `host` is the device whose plain tensor operations are trusted. Nothing that goes wrong on
    /// `device` panics: it is the result.
    pub fn run(&self, device: &Device, host: &Device) -> Check {
        let rows = (self.subject.rows)(self.dims);
        let picked = if self.real { Rows::sample(rows) } else { Rows::all(rows) };
        let expected = caught(|| {
            let exact = Draw::exact(host, self.dtype);
            values((self.subject.plain)(&exact, self.dims, &picked)())
        });
        let (own, decision) = self.own(device);
        let own = own.and_then(|(result, seconds)| {
            let actual = caught(|| values(picked.take(result, 2)))?;
            Ok(Measured { difference: Difference::of(&actual, expected.as_ref()?), seconds })
        });
        let (road, cause) = match decision {
            Some(Decision { road, cause }) => (road, cause.map(|cause| cause.reason())),
            None => (Road::Reference, None),
        };
        let mut check = Check {
            operation: self.subject.operation.name,
            name: self.name(),
            size: self.size,
            shape: self.shape().to_vec(),
            dtype: self.dtype(),
            road,
            cause,
            rows,
            compared_rows: picked.len(),
            own,
            plain: None,
        };
        if self.depth == Depth::Full || check.verdict() != Verdict::Passed {
            check.plain = Some(expected.and_then(|expected| self.plain(device, &picked, &expected)));
        }
        check
    }

    /// The own form's result and seconds, and which form it was. When all is checked a second run's, as the first
    /// compiles.
    fn own(&self, device: &Device) -> (Result<(Tensor<4>, f64), String>, Option<Decision>) {
        let run = || {
            let call = caught(|| Ok((self.subject.own)(&Draw::new(device, self.dtype), self.dims)));
            match call {
                Ok(call) => forced(|| caught(|| timed(device, call))),
                Err(error) => (Err(error), None),
            }
        };
        let software = DeviceCaps::of(device).software;
        match run() {
            (Ok((_, seconds)), _)
                if self.depth == Depth::Full && (!software || seconds < PATIENCE_SECONDS) =>
            {
                run()
            }
            first => first,
        }
    }

    fn plain(&self, device: &Device, picked: &Rows, expected: &[f32]) -> Result<Measured, String> {
        caught(|| {
            let call = (self.subject.plain)(&Draw::new(device, self.dtype), self.dims, picked);
            let (result, seconds) = timed(device, call)?;
            Ok(Measured { difference: Difference::of(&values(result)?, expected), seconds })
        })
    }
}

/// The result of `call` and the seconds until the device had it.
fn timed(device: &Device, call: Call) -> Result<(Tensor<4>, f64), String> {
    // What the inputs' way to the device takes is not counted.
    device.sync().map_err(|error| error.to_string())?;
    let start = Instant::now();
    let result = call();
    device.sync().map_err(|error| error.to_string())?;
    Ok((result, start.elapsed().as_secs_f64()))
}

/// On the host, as f32.
fn values(result: Tensor<4>) -> Result<Vec<f32>, String> {
    let data = result.try_into_data().map_err(|error| error.to_string())?;
    data.try_into_vec_as::<f32>().map_err(|error| error.to_string())
}

/// A panic of `work` as an error.
fn caught<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| Err(message(&*payload)))
}

fn message(payload: &dyn Any) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FUSED;

    const RIGHT: Subject = Subject {
        name: "rms_norm",
        operation: crate::rms_norm::OPERATION,
        own: norms::rms_own,
        plain: norms::rms_plain,
        rows: |[_, l, ..]| l,
        width: |[b, _, d, ..]| b * d,
        half: Half::Possible,
        small: &[],
        real: &[],
    };

    /// Rows that are enough to be sampled, of them one that is not in the sample.
    const DIMS: Dims = [1, 300, 24, 1, 1];
    const UNSEEN: usize = 2;

    #[expect(deprecated, reason = "the trusted host, as long as the pinned release has it")]
    fn host() -> Device {
        Device::ndarray()
    }

    /// A subject's check on burn-flex, where the own form is a twin.
    fn check(subject: &'static Subject) -> Check {
        let case = Case {
            subject,
            size: "real",
            dims: DIMS,
            dtype: FloatDType::F32,
            real: true,
            depth: Depth::Short,
        };
        case.run(&Device::flex(), &host())
    }

    /// The right result with row `row` replaced by what `change` makes of it.
    fn altered(draw: &Draw, dims: Dims, row: usize, change: fn(Tensor<4>) -> Tensor<4>) -> Call {
        let call = norms::rms_own(draw, dims);
        Box::new(move || {
            let y = call();
            let changed = change(y.clone().narrow(2, row, 1));
            y.slice_assign([0..1, 0..1, row..row + 1, 0..dims[2]], changed)
        })
    }

    #[test]
    fn a_right_operation_passes_by_its_sample() {
        static SUBJECT: Subject = RIGHT;
        let check = check(&SUBJECT);
        assert_eq!((check.verdict(), check.road), (Verdict::Passed, Road::Custom), "{check:?}");
        assert_eq!((check.rows, check.compared_rows, check.plain), (300, 16, None));
    }

    #[test]
    fn one_wrong_row_is_caught_and_one_outside_the_sample_is_not_looked_at() {
        static LAST: Subject =
            Subject { own: |draw, dims| altered(draw, dims, 299, |row| row * 1.001), ..RIGHT };
        static OUTSIDE: Subject =
            Subject { own: |draw, dims| altered(draw, dims, UNSEEN, |row| row * 2.0), ..RIGHT };
        let last = check(&LAST);
        let Verdict::KernelFails(cause) = last.verdict() else { panic!("{last:?}") };
        assert!(cause.starts_with("relative error 2.") && cause.ends_with("e-4, 1e-5 allowed"), "{cause}");
        assert!(last.plain.is_some(), "what a fallback would give is checked then");
        assert_eq!(check(&OUTSIDE).verdict(), Verdict::Passed);
    }

    #[test]
    fn what_is_not_finite_or_does_not_run_is_caught() {
        static INFINITE: Subject =
            Subject { own: |draw, dims| altered(draw, dims, 0, |row| row / 0.0), ..RIGHT };
        static PANICS: Subject = Subject {
            own: |draw, dims| {
                let call = norms::rms_own(draw, dims);
                Box::new(move || panic!("no such\npipeline for {:?}", call().dims()))
            },
            ..RIGHT
        };
        static WRONG_SHAPE: Subject =
            Subject { own: |draw, [b, l, d, ..]| norms::rms_own(draw, [b, l, d - 1, 1, 1]), ..RIGHT };
        let infinite = check(&INFINITE).verdict();
        assert_eq!(infinite, Verdict::KernelFails("its result is not finite".into()));
        let panics = check(&PANICS).verdict();
        let cause = "it does not run: no such pipeline for [1, 1, 300, 24]".into();
        assert_eq!(panics, Verdict::KernelFails(cause));
        assert!(matches!(check(&WRONG_SHAPE).verdict(), Verdict::KernelFails(_)));
    }

    #[test]
    fn a_device_whose_plain_operations_are_wrong_is_told_from_a_wrong_kernel() {
        fn wrong(draw: &Draw, dims: Dims, rows: &Rows) -> Call {
            let call = norms::rms_plain(draw, dims, rows);
            let off = if draw.device_is_host() { 1.0 } else { 1.5 };
            Box::new(move || call() * off)
        }
        static SUBJECT: Subject = Subject { plain: wrong, ..RIGHT };
        let case = Case {
            subject: &SUBJECT,
            size: "small",
            dims: [1, 3, 8, 1, 1],
            dtype: FloatDType::F32,
            real: false,
            depth: Depth::Full,
        };
        let check = case.run(&Device::flex(), &host());
        assert!(matches!(check.verdict(), Verdict::DeviceFails(_)), "{check:?}");
        assert!(check.own.is_ok_and(|own| own.difference.relative_l2 < 1e-5));
    }

    #[test]
    fn every_operation_is_checked_and_sizes_follow_the_device() {
        for operation in FUSED {
            assert!(SUBJECTS.iter().any(|s| s.operation.name == operation.name), "{}", operation.name);
        }
        let flex = Device::flex();
        let (short, full) = (cases(&flex, Depth::Short), cases(&flex, Depth::Full));
        assert!(short.len() >= SUBJECTS.len() && full.len() > 3 * short.len());
        assert!(full.iter().all(|case| !case.shape().contains(&L)));
        let web = DeviceCaps { kind: DeviceKind::Cube, max_binding_bytes: 1 << 20, ..DeviceCaps::of(&flex) };
        assert_eq!(RIGHT.scaled([1, L, 5_120, 1, 1], &web), [1, 51, 5_120, 1, 1]);
    }
}
