//! DPM-Solver++ 2M with the midpoint rule, on flow predictions.

use burn::prelude::*;

use super::{X0, combine, lambda};

/// The data prediction of the step before.
#[derive(Clone, Debug, Default)]
pub(super) struct DpmPp {
    previous: Option<Tensor<5>>,
}

impl DpmPp {
    pub(super) fn remembering(take: &mut impl FnMut(&str) -> Option<Tensor<5>>) -> Self {
        Self { previous: take(X0) }
    }

    pub(super) fn memory(&self) -> Vec<(&'static str, Tensor<5>)> {
        self.previous.iter().map(|x0| (X0, x0.clone())).collect()
    }

    pub(super) fn step(&mut self, sigmas: &[f64], i: usize, v: Tensor<5>, x: Tensor<5>) -> Tensor<5> {
        let x0 = x.clone() - v * sigmas[i];
        let previous = self.previous.take();
        if i + 2 == sigmas.len() {
            return x0;
        }
        let (from, to) = (sigmas[i], sigmas[i + 1]);
        let h = lambda(to) - lambda(from);
        let (keep, data) = (to / from, -(1.0 - to) * (-h).exp_m1());
        let next = match &previous {
            None => combine([(keep, &x), (data, &x0)]),
            Some(previous) => {
                // An infinite step, from sigma 1, leaves no slope to extrapolate.
                let slope = 0.5 * data * h / (lambda(from) - lambda(sigmas[i - 1]));
                combine([(keep, &x), (data + slope, &x0), (-slope, previous)])
            }
        };
        self.previous = Some(x0);
        next
    }
}
