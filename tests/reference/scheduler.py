"""Schedules and step-by-step traces of diffusers 0.42.1's flow solvers, in f32 on a small tensor."""
import torch
from diffusers import DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

from common import save

STEPS = [1, 2, 3, 6, 20]
SHIFTS = [1, 3, 5, 12]
SHAPE = (1, 2, 2, 3, 4)


def schedulers(shift):
    flow = dict(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)
    return {
        "unipc": UniPCMultistepScheduler(solver_order=2, solver_type="bh2", lower_order_final=True, **flow),
        "dpmpp": DPMSolverMultistepScheduler(solver_order=2, **flow),
        "euler": FlowMatchEulerDiscreteScheduler(shift=shift),
    }


def trace(scheduler, steps, x, drift):
    """States after each step under the flow v = 0.3 x + drift[i]."""
    scheduler.set_timesteps(steps)
    # Without it a repeated first timestep would be taken for the second of its kind.
    scheduler.set_begin_index(0)
    states = []
    for i, t in enumerate(scheduler.timesteps):
        x = scheduler.step(0.3 * x + drift[i], t, x, return_dict=False)[0]
        states.append(x)
    return torch.stack(states)


def main():
    torch.set_num_threads(1)
    generator = torch.Generator("cpu").manual_seed(20)
    x = torch.randn(SHAPE, generator=generator)
    drift = torch.randn((max(STEPS), *SHAPE), generator=generator)
    tensors = {"x": x, "drift": drift}
    for shift in SHIFTS:
        for steps in STEPS:
            for name, scheduler in schedulers(shift).items():
                key = f"{name}.{steps}.{shift}"
                tensors[f"{key}.states"] = trace(scheduler, steps, x, drift)
                tensors[f"{key}.sigmas"] = scheduler.sigmas
                tensors[f"{key}.timesteps"] = scheduler.timesteps
    save("scheduler", tensors)


if __name__ == "__main__":
    main()
