//! Noise schedules: the sigmas a solver walks and the timesteps the network is told.

use super::Solver;

/// Timesteps the networks were trained with, and so the finest schedule.
pub const MAX_STEPS: usize = 1000;

/// Largest shift: beyond it the first sigmas cannot be told from 1 in f32.
pub const MAX_SHIFT: f64 = 1000.0;

/// Whose spacing of sigmas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grid {
    /// The one of Wan's own command line.
    Official,
    /// The one of diffusers 0.42 with flow sigmas, as a `scheduler_config.json` asks for it.
    Diffusers,
}

/// Why a schedule cannot be made.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ScheduleError {
    #[error("{steps} steps; a schedule has between 1 and {MAX_STEPS}")]
    Steps { steps: usize },
    #[error("shift {shift} is not a number above 0 and up to {MAX_SHIFT}")]
    Shift { shift: f64 },
    #[error("{steps} steps with shift {shift} lie closer together than f32 can tell")]
    Coincide { steps: usize, shift: f64 },
    #[error("what the solver remembers is not what it remembers after {done} steps")]
    Memory { done: usize },
}

/// Noise levels from 1 (noise) down to 0 (data).
#[derive(Clone, Debug, PartialEq)]
pub struct FlowSchedule {
    /// One per step and a final 0, strictly falling. Rounded to f32 where the reference stores them so.
    pub sigmas: Vec<f64>,
    /// What the network gets at each step, between 0 and 1000.
    pub timesteps: Vec<f64>,
}

impl FlowSchedule {
    /// `steps` sigmas as `grid` spaces them for `solver`, pushed towards noise by `shift` (1 pushes nothing).
    ///
    /// # Errors
    /// If `steps` or `shift` is out of bounds, or two sigmas coincide.
    pub fn new(solver: Solver, grid: Grid, steps: usize, shift: f64) -> Result<Self, ScheduleError> {
        if !(1..=MAX_STEPS).contains(&steps) {
            return Err(ScheduleError::Steps { steps });
        }
        if !(shift > 0.0 && shift <= MAX_SHIFT) {
            return Err(ScheduleError::Shift { shift });
        }
        let schedule = match (grid, solver) {
            (Grid::Official, Solver::Euler) => euler(steps, shift),
            (Grid::Diffusers, Solver::Euler) => diffusers_euler(steps, shift),
            (Grid::Official, Solver::UniPc) => integer_timesteps(official_unipc(steps, shift)),
            (Grid::Official, Solver::DpmPp) => integer_timesteps(falling(1.0, 0.0, steps, shift)),
            (Grid::Diffusers, Solver::UniPc) => integer_timesteps(diffusers_unipc(steps, shift)),
            (Grid::Diffusers, Solver::DpmPp) => integer_timesteps(diffusers_dpmpp(steps, shift)),
        };
        let falls = schedule.sigmas.windows(2).all(|pair| pair[0] > pair[1]);
        if falls { Ok(schedule) } else { Err(ScheduleError::Coincide { steps, shift }) }
    }

    /// Number of network calls without guidance.
    pub fn steps(&self) -> usize {
        self.timesteps.len()
    }

    fn with_end(mut sigmas: Vec<f64>, timesteps: Vec<f64>) -> Self {
        sigmas.push(0.0);
        Self { sigmas, timesteps }
    }
}

fn shifted(sigma: f64, shift: f64) -> f64 {
    shift * sigma / (1.0 + (shift - 1.0) * sigma)
}

fn to_f32(sigma: f64) -> f64 {
    f64::from(sigma as f32)
}

/// The first `steps` of `steps + 1` evenly spaced values, in numpy's order of operations, shifted.
fn falling(first: f64, last: f64, steps: usize, shift: f64) -> Vec<f64> {
    let width = (last - first) / steps as f64;
    (0..steps).map(|i| shifted(i as f64 * width + first, shift)).collect()
}

/// Sigmas are kept in f32, timesteps are whole numbers cut from the f64 values.
fn integer_timesteps(sigmas: Vec<f64>) -> FlowSchedule {
    let timesteps = sigmas.iter().map(|sigma| (sigma * 1000.0).trunc()).collect();
    FlowSchedule::with_end(sigmas.into_iter().map(to_f32).collect(), timesteps)
}

fn official_unipc(steps: usize, shift: f64) -> Vec<f64> {
    // The largest trained sigma below 1, kept in f32.
    falling(to_f32(1.0 - 1.0 / 1000.0), 0.0, steps, shift)
}

fn euler(steps: usize, shift: f64) -> FlowSchedule {
    let sigmas: Vec<f64> = (0..steps).map(|i| shifted(1.0 - i as f64 / steps as f64, shift)).collect();
    let timesteps = sigmas.iter().map(|sigma| sigma * 1000.0).collect();
    FlowSchedule::with_end(sigmas, timesteps)
}

fn diffusers_unipc(steps: usize, shift: f64) -> Vec<f64> {
    const OFF_ONE: f64 = 1e-6;
    let mut sigmas = falling(1.0, 1.0 / 1000.0, steps, shift);
    if (sigmas[0] - 1.0).abs() < OFF_ONE {
        sigmas[0] -= OFF_ONE;
    }
    sigmas
}

fn diffusers_dpmpp(steps: usize, shift: f64) -> Vec<f64> {
    // Spaced from the data end: the alphas fall from 1 to 0.001, and the one of sigma 0 is left out.
    let width = (1.0 / 1000.0 - 1.0) / steps as f64;
    let last = 1.0 - 1.0 / 1000.0;
    let sigma = |i: usize| if i == steps { last } else { 1.0 - (i as f64 * width + 1.0) };
    (1..=steps).rev().map(|i| shifted(sigma(i), shift)).collect()
}

fn diffusers_euler(steps: usize, shift: f64) -> FlowSchedule {
    // The training sigmas are shifted in f32, and what lies evenly between the ends is shifted again.
    let narrow = shift as f32;
    let trained = |sigma: f32| f64::from(narrow * sigma / (1.0 + (shift - 1.0) as f32 * sigma));
    let (first, last) = (trained(1.0) * 1000.0, trained(1.0 / 1000.0) * 1000.0);
    let width = (last - first) / steps.saturating_sub(1).max(1) as f64;
    let even = |i: usize| if i > 0 && i + 1 == steps { last } else { i as f64 * width + first };
    let sigmas: Vec<f64> = (0..steps).map(|i| to_f32(shifted(even(i) / 1000.0, shift))).collect();
    let timesteps = sigmas.iter().map(|&sigma| f64::from(sigma as f32 * 1000.0)).collect();
    FlowSchedule::with_end(sigmas, timesteps)
}
