//! Schedules and solvers against published digits and against diffusers.

use burn::{prelude::*, tensor::DType};
use proptest::prelude::*;
use testkit::{Golden, Tolerance, assert_close, devices};
use wan_model::{FlowSchedule, Grid, Sampler, ScheduleError, Solver, guide, sinusoid};

const SOLVERS: [(&str, Solver); 3] =
    [("unipc", Solver::UniPc), ("dpmpp", Solver::DpmPp), ("euler", Solver::Euler)];

/// f64 arithmetic against f64 arithmetic in another order.
const SCALAR: f64 = 1e-12;

/// Sigmas published with seven digits.
const PRINTED: f64 = 1e-7;

/// diffusers computes the coefficients in f32: some ulps per step, over 20 steps (2.4e-7 seen).
const DIFFUSERS: Tolerance = Tolerance(1e-6);

fn schedule(solver: Solver, grid: Grid, steps: usize, shift: f64) -> FlowSchedule {
    FlowSchedule::new(solver, grid, steps, shift).expect("a legal schedule")
}

#[test]
fn published_timesteps() {
    let (official, diffusers) = (Grid::Official, Grid::Diffusers);
    let twenty = |rest: [i32; 20]| rest.map(f64::from).to_vec();
    let rows = [
        (Solver::UniPc, official, 5.0, vec![999., 937., 833., 624.]),
        (Solver::DpmPp, official, 5.0, vec![1000., 937., 833., 625.]),
        (Solver::UniPc, diffusers, 5.0, vec![999., 937., 833., 625.]),
        (Solver::UniPc, official, 5.0, vec![999., 961., 908., 833., 713., 499.]),
        (Solver::DpmPp, official, 5.0, vec![1000., 961., 909., 833., 714., 500.]),
        (
            Solver::UniPc,
            official,
            5.0,
            twenty([
                999, 989, 978, 965, 952, 937, 920, 902, 882, 859, 833, 803, 768, 728, 681, 624, 555, 468,
                356, 208,
            ]),
        ),
        (
            Solver::UniPc,
            official,
            10.0,
            twenty([
                999, 994, 988, 982, 975, 967, 958, 948, 937, 924, 908, 890, 869, 843, 810, 768, 714, 638,
                526, 344,
            ]),
        ),
        (
            Solver::DpmPp,
            official,
            10.0,
            twenty([
                1000, 994, 989, 982, 975, 967, 958, 948, 937, 924, 909, 891, 869, 843, 810, 769, 714, 638,
                526, 344,
            ]),
        ),
    ];
    for (solver, grid, shift, timesteps) in rows {
        assert_eq!(
            schedule(solver, grid, timesteps.len(), shift).timesteps,
            timesteps,
            "{solver:?} {grid:?}"
        );
    }
}

#[test]
fn published_sigmas() {
    let rows: [(Grid, usize, usize, &[f64]); 5] = [
        (Grid::Official, 4, 0, &[0.9997998, 0.9372655, 0.8330554, 0.6246874, 0.0]),
        (Grid::Official, 40, 0, &[0.9997998, 0.9946948, 0.989377]),
        (Grid::Official, 40, 37, &[0.2882396, 0.2081597, 0.113533, 0.0]),
        (Grid::Diffusers, 4, 0, &[0.999999, 0.9375781, 0.833611, 0.6259361, 0.0]),
        (Grid::Diffusers, 40, 37, &[0.2911904, 0.2116215, 0.1176511, 0.0]),
    ];
    for (grid, steps, from, expected) in rows {
        let sigmas = schedule(Solver::UniPc, grid, steps, 5.0).sigmas;
        for (i, (sigma, expected)) in sigmas[from..].iter().zip(expected).enumerate() {
            assert!((sigma - expected).abs() < PRINTED, "{grid:?} {steps}: sigma {} is {sigma}", from + i);
        }
    }
}

#[test]
fn published_sinusoids() {
    let rows = [
        (
            999.0,
            [0.999649853, 0.963782479, -0.398991758, 0.994243164],
            [-0.026460753, -0.266689584, -0.916954512, 0.107147238],
        ),
        (
            947.0,
            [-0.189040619, -0.034976293, -0.993674994, 0.994826373],
            [-0.981969269, 0.999388142, -0.112294280, 0.101589802],
        ),
        (
            500.0,
            [-0.883849273, 0.945942580, 0.848514544, 0.998556870],
            [-0.467771805, 0.324334142, -0.529172060, 0.053704542],
        ),
        (0.0, [1.0; 4], [0.0; 4]),
    ];
    for (timestep, cosines, sines) in rows {
        let values = sinusoid(timestep, 256);
        assert_eq!(values.len(), 256);
        for (i, k) in [0, 1, 2, 127].into_iter().enumerate() {
            for (value, expected) in [(values[k], cosines[i]), (values[128 + k], sines[i])] {
                assert!((f64::from(value) - expected).abs() < PRINTED, "t {timestep}, k {k}: {value}");
            }
        }
    }
}

#[test]
fn high_noise_steps_of_two_experts() {
    let rows = [
        (40, 12.0, 875.0, 26),
        (40, 5.0, 900.0, 15),
        (20, 5.0, 900.0, 8),
        (8, 5.0, 900.0, 3),
        (70, 10.0, 947.0, 26),
        (20, 10.0, 947.0, 8),
    ];
    for (steps, shift, boundary, high) in rows {
        let timesteps = schedule(Solver::UniPc, Grid::Official, steps, shift).timesteps;
        assert_eq!(timesteps.iter().filter(|&&t| t >= boundary).count(), high, "{steps} {shift}");
    }
}

#[test]
fn published_scalar_traces() {
    let traces = [
        [
            0.99051615366326,
            0.975178868380617,
            0.947970518603405,
            0.9001278335120032,
            0.8320845426181969,
            0.7554035594043351,
        ],
        [
            0.9905539205932168,
            0.975934196395675,
            0.9499212730712231,
            0.902447892237458,
            0.831552166483428,
            0.7549049866822535,
        ],
        [
            0.9905539273495745,
            0.9759619316268812,
            0.9512983975079862,
            0.9067604296434785,
            0.8322337931222679,
            0.7553449378870847,
        ],
    ];
    let device = Device::flex();
    for ((name, solver), trace) in SOLVERS.into_iter().zip(traces) {
        let mut schedule = schedule(solver, Grid::Official, 6, 5.0);
        if solver == Solver::DpmPp {
            // These digits come from sigmas one ulp lower than numpy's, which cuts the last timestep to 499.
            schedule.timesteps[5] = 499.0;
        }
        let mut sampler = Sampler::new(solver, schedule);
        let mut x = 1.0;
        for (i, expected) in trace.into_iter().enumerate() {
            let v = 0.3 * x + 0.1 * (sampler.schedule().timesteps[i] / 100.0).sin();
            x = scalar(sampler.step(tensor_f64(v, &device), tensor_f64(x, &device)));
            assert!((x - expected).abs() < SCALAR, "{name} step {i}: {x} is not {expected}");
        }
        assert_eq!(sampler.steps_done(), 6);
    }
}

fn tensor_f64(value: f64, device: &Device) -> Tensor<5> {
    Tensor::from_data(TensorData::new(vec![value], [1; 5]), (device, DType::F64))
}

fn scalar(x: Tensor<5>) -> f64 {
    x.into_data().as_slice::<f64>().expect("an f64 tensor")[0]
}

#[test]
fn schedules_are_those_of_diffusers_bit_for_bit() {
    let golden = Golden::load("scheduler");
    for (name, solver, steps, shift) in combinations() {
        let ours = schedule(solver, Grid::Diffusers, steps, f64::from(shift));
        let key = format!("{name}.{steps}.{shift}");
        assert_eq!(to_f32(&ours.sigmas), golden.get(&format!("{key}.sigmas")).1, "{key}");
        assert_eq!(to_f32(&ours.timesteps), golden.get(&format!("{key}.timesteps")).1, "{key}");
    }
}

fn to_f32(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

#[test]
fn traces_are_those_of_diffusers() {
    let golden = Golden::load("scheduler");
    for device in devices() {
        let drift: Tensor<6> = golden.tensor("drift", &device.device);
        for (name, solver, steps, shift) in combinations() {
            let mut sampler =
                Sampler::new(solver, schedule(solver, Grid::Diffusers, steps, f64::from(shift)));
            let mut x: Tensor<5> = golden.tensor("x", &device.device);
            let mut states = Vec::new();
            for i in 0..steps {
                let v = x.clone() * 0.3 + drift.clone().narrow(0, i, 1).squeeze_dim::<5>(0);
                x = sampler.step(v, x);
                states.push(x.clone());
            }
            let key = format!("{name}.{steps}.{shift}");
            let expected = golden.get(&format!("{key}.states"));
            assert_close(
                &format!("{key} on {}", device.name),
                Tensor::stack::<6>(states, 0),
                expected,
                DIFFUSERS,
            );
        }
    }
}

#[test]
fn a_solver_goes_on_from_its_memory_to_the_same_bits() {
    const STEPS: usize = 5;
    let golden = Golden::load("scheduler");
    let values = |x: &Tensor<5>| x.to_data().try_into_vec::<f32>().expect("f32");
    for device in devices() {
        let flow = |x: &Tensor<5>, i: usize| x.clone() * 0.3 + 0.1 * i as f64;
        for (name, solver) in SOLVERS {
            let schedule = schedule(solver, Grid::Official, STEPS, 3.0);
            let mut whole = Sampler::new(solver, schedule.clone());
            let mut x: Tensor<5> = golden.tensor("x", &device.device);
            for stop in 0..=STEPS {
                let copy = |x: &Tensor<5>| Tensor::<5>::from_data(x.to_data(), &device.device);
                let kept = whole.memory().into_iter().map(|(name, kept)| (name.to_owned(), copy(&kept)));
                let mut resumed =
                    Sampler::resume(solver, schedule.clone(), stop, kept).expect("its own memory");
                let (mut other, mut expected, mut from) = (copy(&x), x.clone(), whole.clone());
                for i in stop..STEPS {
                    other = resumed.step(flow(&other, i), other);
                    expected = from.step(flow(&expected, i), expected);
                }
                assert!(values(&other) == values(&expected), "{name} on {} after {stop}", device.name);
                if stop < STEPS {
                    x = whole.step(flow(&x, stop), x);
                }
            }
        }
    }
}

#[test]
fn another_solvers_memory_is_refused() {
    let schedule = schedule(Solver::UniPc, Grid::Official, 4, 3.0);
    let x = || Tensor::<5>::zeros([1; 5], &Device::flex());
    let refused = |solver, done, names: &[&str]| {
        let memory = names.iter().map(|name| ((*name).to_owned(), x()));
        let error = Sampler::resume(solver, schedule.clone(), done, memory).expect_err("not its memory");
        assert_eq!(error, ScheduleError::Memory { done });
    };
    refused(Solver::UniPc, 2, &["x", "x0"]);
    refused(Solver::UniPc, 1, &["x", "x0", "earlier"]);
    refused(Solver::UniPc, 4, &["x", "x0", "earlier"]);
    refused(Solver::DpmPp, 2, &[]);
    refused(Solver::Euler, 2, &["x0"]);
    refused(Solver::Euler, 5, &[]);
}

fn combinations() -> impl Iterator<Item = (&'static str, Solver, usize, u32)> {
    let all = |(name, solver)| {
        let shifts = move |steps| [1, 3, 5, 12].map(|shift| (name, solver, steps, shift));
        [1, 2, 3, 6, 20].into_iter().flat_map(shifts)
    };
    SOLVERS.into_iter().flat_map(all)
}

#[test]
fn guidance_goes_past_the_conditional_prediction() {
    for device in devices() {
        let [cond, uncond] = [1.5, -0.5].map(|value| Tensor::<5>::full([1; 5], value, &device.device));
        for (scale, expected) in [(0.0, -0.5), (1.0, 1.5), (5.0, 9.5)] {
            let guided = guide(cond.clone(), uncond.clone(), scale).into_data();
            assert_eq!(guided.as_slice::<f32>().expect("f32"), [expected], "{}", device.name);
        }
    }
}

#[test]
fn impossible_schedules_are_refused() {
    let new = |steps, shift| FlowSchedule::new(Solver::UniPc, Grid::Official, steps, shift);
    assert_eq!(new(0, 5.0), Err(ScheduleError::Steps { steps: 0 }));
    assert_eq!(new(usize::MAX, 5.0), Err(ScheduleError::Steps { steps: usize::MAX }));
    for shift in [0.0, -1.0, f64::INFINITY, 1e6] {
        assert_eq!(new(4, shift), Err(ScheduleError::Shift { shift }));
    }
    assert!(matches!(new(4, f64::NAN), Err(ScheduleError::Shift { .. })));
    assert_eq!(new(4, 1e-60), Err(ScheduleError::Coincide { steps: 4, shift: 1e-60 }));
}

#[test]
#[should_panic(expected = "1 steps only")]
fn a_step_past_the_end_panics() {
    let mut sampler = Sampler::new(Solver::Euler, schedule(Solver::Euler, Grid::Official, 1, 1.0));
    let zero = Tensor::<5>::zeros([1; 5], &Device::flex());
    sampler.step(zero.clone(), zero.clone());
    sampler.step(zero.clone(), zero);
}

proptest! {
    #[test]
    fn schedules_fall_from_one_to_zero(solver in 0usize..3, official: bool, steps in 1usize..200, shift in 0.5f64..20.0) {
        let grid = if official { Grid::Official } else { Grid::Diffusers };
        let schedule = schedule(SOLVERS[solver].1, grid, steps, shift);
        prop_assert_eq!((schedule.steps(), schedule.sigmas.len()), (steps, steps + 1));
        // diffusers shifts its Euler grid twice in f32, which can leave the first values some roundings above.
        let top = 1.0 + 8.0 * f64::from(f32::EPSILON);
        prop_assert!(schedule.sigmas[0] > 0.99 && schedule.sigmas[0] <= top);
        prop_assert_eq!(schedule.sigmas[steps], 0.0);
        prop_assert!(schedule.sigmas.windows(2).all(|pair| pair[0] > pair[1]));
        prop_assert!(schedule.timesteps.iter().all(|t| (0.0..=1000.0 * top).contains(t)));
    }

    /// Every solver is exact for a network that points straight from noise to data, on any grid of any solver.
    #[test]
    fn straight_flows_end_at_the_data(
        solver in 0usize..3, grid_of in 0usize..3, steps in 1usize..12, shift in 0.5f64..20.0, x0 in -3.0f64..3.0,
    ) {
        let device = Device::flex();
        let mut sampler =
            Sampler::new(SOLVERS[solver].1, schedule(SOLVERS[grid_of].1, Grid::Official, steps, shift));
        let noise = 0.7;
        let first = sampler.schedule().sigmas[0];
        let mut x = (1.0 - first) * x0 + first * noise;
        for _ in 0..steps {
            x = scalar(sampler.step(tensor_f64(noise - x0, &device), tensor_f64(x, &device)));
        }
        prop_assert!((x - x0).abs() < 1e-9, "{} is not {}", x, x0);
    }
}
