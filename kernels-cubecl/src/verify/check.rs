//! What a check found.

use burn::tensor::DType;

use crate::Road;

/// The largest relative error of an own form in f32: sums in another order, approximate exp and square roots.
const BAR_F32: f64 = 1e-5;
/// And in f16: 2^-11 per rounding, some roundings deep.
const BAR_F16: f64 = 3e-3;
/// Plain tensor operations farther off than this are wrong, not rounded: a backend's matrix product may round the
/// factors of an f32 product to fewer bits, and sums of f16 products are long.
const BAR_PLAIN: f64 = 2e-2;

/// How far values are from what is expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    pub max_absolute: f64,
    /// `||actual - expected|| / ||expected||`; infinite if a value is missing or not finite.
    pub relative_l2: f64,
}

impl Difference {
    pub(super) fn of(actual: &[f32], expected: &[f32]) -> Self {
        let finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
        if actual.len() != expected.len() || !finite(actual) || !finite(expected) {
            return Self { max_absolute: f64::INFINITY, relative_l2: f64::INFINITY };
        }
        let (mut max, mut error, mut norm) = (0f64, 0f64, 0f64);
        for (&a, &e) in actual.iter().zip(expected) {
            let distance = (f64::from(a) - f64::from(e)).abs();
            max = max.max(distance);
            error += distance * distance;
            norm += f64::from(e) * f64::from(e);
        }
        Self { max_absolute: max, relative_l2: (error / norm.max(f64::MIN_POSITIVE)).sqrt() }
    }
}

/// One form's result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    pub difference: Difference,
    /// Of one run, inputs already on the device.
    pub seconds: f64,
}

/// Which of a device's forms can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// The own form is wrong or does not run, for the given reason; plain tensor code is right.
    KernelFails(String),
    /// Plain tensor code is wrong or does not run, for the given reason.
    DeviceFails(String),
}

/// The result of one [`Case`](super::Case).
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// The operation that [`refuse`](crate::refuse) would bar.
    pub operation: &'static str,
    /// The operation as people know it; several may be forms of one.
    pub name: &'static str,
    /// `small`, or the model that has this size.
    pub size: &'static str,
    pub shape: Vec<usize>,
    pub dtype: DType,
    /// What ran as the own form.
    pub road: Road,
    /// Why that was not the custom one, where there is one.
    pub cause: Option<String>,
    /// Rows of the result, and how many of them were compared.
    pub rows: usize,
    pub compared_rows: usize,
    pub own: Result<Measured, String>,
    /// The portable code on the device, over the compared rows alone; absent where it was not needed.
    pub plain: Option<Result<Measured, String>>,
}

impl Check {
    /// The largest relative error that passes.
    pub fn bar(&self) -> f64 {
        if self.dtype == DType::F32 { BAR_F32 } else { BAR_F16 }
    }

    pub fn verdict(&self) -> Verdict {
        let plain = self.plain.as_ref().and_then(|plain| fault(plain, BAR_PLAIN));
        let own = fault(&self.own, if self.road == Road::Custom { self.bar() } else { BAR_PLAIN });
        match (own, plain) {
            (_, Some(fault)) => Verdict::DeviceFails(fault),
            (Some(fault), None) if self.road != Road::Custom => Verdict::DeviceFails(fault),
            (Some(fault), None) => Verdict::KernelFails(fault),
            (None, None) => Verdict::Passed,
        }
    }
}

fn fault(result: &Result<Measured, String>, bar: f64) -> Option<String> {
    match result {
        Err(error) => Some(format!("it does not run: {}", error.lines().collect::<Vec<_>>().join(" "))),
        Ok(measured) if !measured.difference.relative_l2.is_finite() => {
            Some("its result is not finite".to_owned())
        }
        Ok(measured) if measured.difference.relative_l2 > bar => {
            Some(format!("relative error {:.1e}, {bar:.0e} allowed", measured.difference.relative_l2))
        }
        Ok(_) => None,
    }
}
