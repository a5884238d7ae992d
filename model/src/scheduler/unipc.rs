//! UniPC of order 2 (`bh2`, data prediction): a predictor, and a corrector that reuses the next network call.

use burn::prelude::*;

use super::{EARLIER, X, X0, combine, lambda};

#[derive(Clone, Debug, Default)]
pub(super) struct UniPc {
    history: Option<History>,
}

/// What the corrector needs of the steps before.
#[derive(Clone, Debug)]
struct History {
    /// Latents before the last prediction.
    x: Tensor<5>,
    /// Data prediction at the same sigma.
    x0: Tensor<5>,
    /// Data prediction one sigma earlier.
    earlier: Option<Tensor<5>>,
}

impl UniPc {
    pub(super) fn remembering(take: &mut impl FnMut(&str) -> Option<Tensor<5>>) -> Self {
        let (x, x0, earlier) = (take(X), take(X0), take(EARLIER));
        Self { history: x.zip(x0).map(|(x, x0)| History { x, x0, earlier }) }
    }

    pub(super) fn memory(&self) -> Vec<(&'static str, Tensor<5>)> {
        let Some(History { x, x0, earlier }) = &self.history else { return Vec::new() };
        let earlier = earlier.iter().map(|earlier| (EARLIER, earlier.clone()));
        [(X, x.clone()), (X0, x0.clone())].into_iter().chain(earlier).collect()
    }

    pub(super) fn step(&mut self, sigmas: &[f64], i: usize, v: Tensor<5>, x: Tensor<5>) -> Tensor<5> {
        // From the latents as predicted; a correction does not change it.
        let x0 = x.clone() - v * sigmas[i];
        let history = self.history.take();
        if i + 2 == sigmas.len() {
            return x0;
        }
        let (x, earlier) = match history {
            None => (x, None),
            Some(history) => (correct(sigmas, i, &history, &x0), Some(history.x0)),
        };
        let next = predict(sigmas, i, &x, &x0, earlier.as_ref());
        self.history = Some(History { x, x0, earlier });
        next
    }
}

/// From sigma `i` to sigma `i + 1`.
fn predict(
    sigmas: &[f64],
    i: usize,
    x: &Tensor<5>,
    x0: &Tensor<5>,
    earlier: Option<&Tensor<5>>,
) -> Tensor<5> {
    let leap = Leap::new(sigmas[i], sigmas[i + 1]);
    let Some(earlier) = earlier else {
        return combine([(leap.keep, x), (leap.data, x0)]);
    };
    let slope = 0.5 * leap.data / leap.ratio(sigmas[i], sigmas[i - 1]);
    combine([(leap.keep, x), (leap.data - slope, x0), (slope, earlier)])
}

/// The latents at sigma `i` once more, from sigma `i - 1`, now that the data prediction `x0` at sigma `i` is known.
fn correct(sigmas: &[f64], i: usize, history: &History, x0: &Tensor<5>) -> Tensor<5> {
    let leap = Leap::new(sigmas[i - 1], sigmas[i]);
    let Some(earlier) = &history.earlier else {
        let half = 0.5 * leap.data;
        return combine([(leap.keep, &history.x), (leap.data - half, &history.x0), (half, x0)]);
    };
    let ratio = leap.ratio(sigmas[i - 1], sigmas[i - 2]);
    let (past, present) = leap.corrector_weights(ratio);
    let (past, present) = (leap.data * past / ratio, leap.data * present);
    let data = leap.data - past - present;
    combine([(leap.keep, &history.x), (data, &history.x0), (past, earlier), (present, x0)])
}

/// The exponential integrator's scalars between two sigmas.
struct Leap {
    h: f64,
    /// Weight of the latents.
    keep: f64,
    /// Weight of the data prediction.
    data: f64,
}

impl Leap {
    fn new(from: f64, to: f64) -> Self {
        let h = lambda(to) - lambda(from);
        Self { h, keep: to / from, data: -(1.0 - to) * (-h).exp_m1() }
    }

    /// Log-SNR distance from `from` back to `earlier`, in units of this leap; negative.
    fn ratio(&self, from: f64, earlier: f64) -> f64 {
        (lambda(earlier) - lambda(from)) / self.h
    }

    /// Solution of `[[1, 1], [ratio, 1]] q = b`: weights of the past and the present difference.
    fn corrector_weights(&self, ratio: f64) -> (f64, f64) {
        let e = (-self.h).exp_m1();
        let phi = e / -self.h - 1.0;
        let b0 = phi / e;
        let b1 = (phi / -self.h - 0.5) * 2.0 / e;
        if ratio.is_infinite() {
            return (0.0, b0);
        }
        ((b0 - b1) / (1.0 - ratio), (b1 - ratio * b0) / (1.0 - ratio))
    }
}
