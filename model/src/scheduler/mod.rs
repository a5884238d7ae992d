//! Flow-matching solvers: one update of the latents per call of the network.

mod dpmpp;
mod euler;
mod flow;
mod sinusoid;
mod unipc;

use std::collections::BTreeMap;

use burn::prelude::*;

pub use flow::{FlowSchedule, Grid, MAX_SHIFT, MAX_STEPS, ScheduleError};
pub use sinusoid::sinusoid;

use dpmpp::DpmPp;
use unipc::UniPc;

/// Names of what solvers remember: latents before the last prediction, the data prediction there, and that of the step
/// before.
const X: &str = "x";
const X0: &str = "x0";
const EARLIER: &str = "earlier";

/// How the latents move from one sigma to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Solver {
    /// UniPC, order 2, `bh2`, data prediction, corrected at every step but the first and the last.
    UniPc,
    /// DPM-Solver++ 2M, midpoint.
    DpmPp,
    /// First order.
    Euler,
}

/// A solver under way: the schedule, the position in it, and the few tensors the next step needs.
///
/// Coefficients are f64 scalars of the host; tensors keep the dtype of the latents.
#[derive(Clone, Debug)]
pub struct Sampler {
    schedule: FlowSchedule,
    state: State,
    done: usize,
}

#[derive(Clone, Debug)]
enum State {
    UniPc(Box<UniPc>),
    DpmPp(Box<DpmPp>),
    Euler,
}

impl Sampler {
    /// At the start of `schedule`. Any solver runs on any schedule.
    pub fn new(solver: Solver, schedule: FlowSchedule) -> Self {
        let state = match solver {
            Solver::UniPc => State::UniPc(Box::default()),
            Solver::DpmPp => State::DpmPp(Box::default()),
            Solver::Euler => State::Euler,
        };
        Self { schedule, state, done: 0 }
    }

    /// After `done` steps of `schedule`, with what [`Self::memory`] gave then: it goes on to the same bits.
    ///
    /// # Errors
    /// [`ScheduleError::Memory`] if a solver after so many steps remembers something else.
    pub fn resume(
        solver: Solver,
        schedule: FlowSchedule,
        done: usize,
        memory: impl IntoIterator<Item = (String, Tensor<5>)>,
    ) -> Result<Self, ScheduleError> {
        let mut memory: BTreeMap<String, Tensor<5>> = memory.into_iter().collect();
        let known: Vec<_> = memory.keys().map(String::as_str).collect();
        if done > schedule.steps() || known != remembered(solver, done, schedule.steps()) {
            return Err(ScheduleError::Memory { done });
        }
        let mut take = |name: &str| memory.remove(name);
        let state = match solver {
            Solver::UniPc => State::UniPc(Box::new(UniPc::remembering(&mut take))),
            Solver::DpmPp => State::DpmPp(Box::new(DpmPp::remembering(&mut take))),
            Solver::Euler => State::Euler,
        };
        Ok(Self { schedule, state, done })
    }

    /// What the next step needs of those before it, by name.
    ///
    /// # Shapes
    /// - each: `[b, c, f, h, w]`, as the latents
    pub fn memory(&self) -> Vec<(&'static str, Tensor<5>)> {
        match &self.state {
            State::UniPc(unipc) => unipc.memory(),
            State::DpmPp(dpmpp) => dpmpp.memory(),
            State::Euler => Vec::new(),
        }
    }

    /// The schedule this sampler walks.
    pub fn schedule(&self) -> &FlowSchedule {
        &self.schedule
    }

    /// Steps taken so far, the index of the next one.
    pub fn steps_done(&self) -> usize {
        self.done
    }

    /// The latents at the next sigma, from the flow `v = noise - x0` that the network predicts at the current one.
    ///
    /// # Shapes
    /// - `v`, `x`, output: `[b, c, f, h, w]`
    ///
    /// # Panics
    /// If the schedule is already at its end.
    pub fn step(&mut self, v: Tensor<5>, x: Tensor<5>) -> Tensor<5> {
        let sigmas = &self.schedule.sigmas;
        assert!(self.done + 1 < sigmas.len(), "the schedule has {} steps only", self.done);
        let next = match &mut self.state {
            State::UniPc(unipc) => unipc.step(sigmas, self.done, v, x),
            State::DpmPp(dpmpp) => dpmpp.step(sigmas, self.done, v, x),
            State::Euler => euler::step(sigmas, self.done, v, x),
        };
        self.done += 1;
        next
    }
}

/// Names of what a solver remembers after `done` of `steps` steps, sorted.
fn remembered(solver: Solver, done: usize, steps: usize) -> &'static [&'static str] {
    match solver {
        _ if done == 0 || done == steps => &[],
        Solver::UniPc if done == 1 => &[X, X0],
        Solver::UniPc => &[EARLIER, X, X0],
        Solver::DpmPp => &[X0],
        Solver::Euler => &[],
    }
}

/// `sum of coefficient * tensor`, without the terms that are zero.
fn combine<const N: usize>(terms: [(f64, &Tensor<5>); N]) -> Tensor<5> {
    let mut kept = terms.into_iter().filter(|(coefficient, _)| *coefficient != 0.0);
    let scaled = |(coefficient, tensor): (f64, &Tensor<5>)| tensor.clone() * coefficient;
    let first = kept.next().map(scaled).expect("one coefficient of a solver step is never zero");
    kept.map(scaled).fold(first, |sum, term| sum + term)
}

/// Half the log signal-to-noise ratio; -inf at sigma 1.
fn lambda(sigma: f64) -> f64 {
    (1.0 - sigma).ln() - sigma.ln()
}
