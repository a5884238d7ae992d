"""What the training scripts share: the folder of a run, its optimiser, and a loop that can be stopped and resumed."""
import argparse
import json
import math
import os
import pathlib
import time

import torch

HERE = pathlib.Path(__file__).resolve().parent
RUN = pathlib.Path(os.environ.get("DEMO_RUN", HERE / "run"))
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TEXT_LEN = 512
if DEVICE == "cpu":
    torch.set_num_threads(int(os.environ.get("DEMO_THREADS", os.cpu_count() or 1)))


class Muon(torch.optim.Optimizer):
    """Momentum made orthogonal by five Newton-Schulz steps for matrices and convolutions, AdamW for the rest.

    The orthogonal update is scaled to the size of AdamW's, so both share one learning rate.
    """

    def __init__(self, module, lr, decay=0.01, momentum=0.95, betas=(0.9, 0.98), embeddings=()):
        matrices = {n for n, p in module.named_parameters() if p.ndim >= 2 and min(p.shape[0], p[0].numel()) > 3
                    and not any(e in n for e in embeddings)}
        named = dict(module.named_parameters())
        groups = [{"params": [p for n, p in named.items() if (n in matrices) == m], "matrix": m} for m in (True, False)]
        super().__init__(groups, {"lr": lr, "decay": decay, "momentum": momentum, "betas": betas})

    @staticmethod
    def orthogonal(g):
        x = g.flatten(1)
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        x = x / (x.norm() + 1e-7)
        for _ in range(5):
            a = x @ x.T
            x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
        x = x.T if tall else x
        return x.reshape(g.shape) * 0.2 * math.sqrt(max(x.shape))

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                s = self.state[p]
                if not s:
                    s["step"], s["m"] = 0, torch.zeros_like(p)
                    if not group["matrix"]:
                        s["v"] = torch.zeros_like(p)
                s["step"] += 1
                p.mul_(1 - group["lr"] * group["decay"])
                if group["matrix"]:
                    s["m"].mul_(group["momentum"]).add_(p.grad)
                    p.add_(self.orthogonal(p.grad + group["momentum"] * s["m"]), alpha=-group["lr"])
                else:
                    b1, b2 = group["betas"]
                    s["m"].lerp_(p.grad, 1 - b1)
                    s["v"].lerp_(p.grad.square(), 1 - b2)
                    m, v = s["m"] / (1 - b1 ** s["step"]), s["v"] / (1 - b2 ** s["step"])
                    p.sub_(group["lr"] * m / (v.sqrt() + 1e-8))


def rate(step, steps, peak, warmup=100, floor=0.02):
    """Linear warm-up, then a cosine down to `floor` of the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    x = (step - warmup) / max(1, steps - warmup)
    return peak * (floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1, x))))


def arguments(steps):
    """--steps in all, --minutes in this sitting; a run goes on from its last checkpoint."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    return parser.parse_args()


def train(name, module, loss_of, steps, minutes, peak, average=0.0, embeddings=(), log_every=20, save_every=100):
    """Trains `module` on `loss_of(step)` -> (loss, figures) and leaves it with its averaged weights.

    Every `save_every` steps RUN/name.pt is replaced by the state of the run; RUN/name.jsonl gets the figures.
    """
    RUN.mkdir(parents=True, exist_ok=True)
    file, log = RUN / f"{name}.pt", RUN / f"{name}.jsonl"
    optimiser = Muon(module, peak, embeddings=embeddings)
    mean = {k: v.clone() for k, v in module.state_dict().items()}
    step, seconds = 0, 0.0
    if file.exists():
        state = torch.load(file, map_location=DEVICE)
        module.load_state_dict(state["module"])
        optimiser.load_state_dict(state["optimiser"])
        mean, step, seconds = state["mean"], state["step"], state["seconds"]
    start, sums, count = time.time(), {}, 0

    def save():
        state = {"module": module.state_dict(), "optimiser": optimiser.state_dict(), "mean": mean, "step": step,
                 "seconds": seconds + time.time() - start}
        torch.save(state, file.with_suffix(".new"))
        file.with_suffix(".new").replace(file)

    while step < steps and time.time() - start < minutes * 60:
        for group in optimiser.param_groups:
            group["lr"] = rate(step, steps, peak)
        loss, figures = loss_of(step)
        module.zero_grad(set_to_none=True)
        loss.backward()
        figures["norm"] = torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0).item()
        optimiser.step()
        step += 1
        decay = min(average, step / (step + 10))
        for k, v in module.state_dict().items():
            mean[k].lerp_(v, 1 - decay) if v.is_floating_point() else mean[k].copy_(v)
        count += 1
        for k, v in figures.items():
            sums[k] = sums.get(k, 0.0) + v
        if step % log_every == 0 or step == steps:
            row = {"step": step, "seconds": round(seconds + time.time() - start, 1)}
            row |= {k: float(f"{v / count:.5g}") for k, v in sums.items()}
            with log.open("a") as out:
                out.write(json.dumps(row) + "\n")
            print(name, row, flush=True)
            sums, count = {}, 0
        if step % save_every == 0:
            save()
    save()
    module.load_state_dict(mean)
    return step
