"""Trains the video autoencoder on crops of clips, then measures the latents' mean and deviation per channel.

`python vae.py [--steps N] [--minutes M]` goes on from RUN/vae.pt; RUN/latents.json gets the statistics.
"""
import json
import random

import torch
from diffusers import AutoencoderKLWan

from common import DEVICE, RUN, arguments, train
from data import FRAMES, SIZE, path, render, sample_scene

CONFIG = dict(base_dim=16, z_dim=16, dim_mult=[1, 2, 3, 4], num_res_blocks=1, temperal_downsample=[False, True, True])
# (until step, crop, frames, clips): small crops first, as what a colour is needs no more; whole clips last, or faults
# of the kept frames grow from one to the next.
STAGES = ((820, 32, 5, 4), (2200, 48, 9, 4), (None, 48, FRAMES, 2))
# (until step, what the KL divergence costs): at last an outline must survive errors as large as a transformer makes.
KL = ((2660, 3e-4), (3000, 6e-3), (3500, 1.5e-2), (None, 4e-2))


def build():
    torch.manual_seed(1)
    vae = AutoencoderKLWan(**CONFIG)
    with torch.no_grad():
        # PyTorch's initial weights lose a factor of 1.7 per convolution, and its biases drown what is left.
        for name, p in vae.named_parameters():
            if name.endswith("bias"):
                p.zero_()
            elif p.ndim >= 4:
                p.mul_(3 ** 0.5)
        # Little noise at first, or the decoder learns to ignore the latents.
        vae.quant_conv.bias[CONFIG["z_dim"]:] = -5
    return vae.to(DEVICE)


def crop(rng, side, clip):
    """`clip` frames of `side` x `side` pixels near the shape, and how much each pixel counts: more where the shape is."""
    scene = sample_scene(rng, holding_out=False)
    start = rng.randrange(0, FRAMES - clip + 1)
    t = torch.tensor([(start + rng.randrange(clip)) / (FRAMES - 1)])
    middle = [c.item() * SIZE + rng.uniform(-side / 3, side / 3) for c in path(scene, t)[:2]]
    x, y = (int(min(max(c - side / 2, 0), SIZE - side)) for c in middle)
    window = (slice(None), slice(start, start + clip), slice(y, y + side), slice(x, x + side))
    pixels = render(scene)[window]
    return pixels, weight_of(pixels, scene)


def weight_of(pixels, scene):
    """How much each pixel counts, [1, F, H, W]: more where the shape is."""
    ground = torch.tensor(scene.ground, device=pixels.device).view(3, 1, 1, 1)
    return 1 + 3 * ((pixels - ground).abs().amax(0, keepdim=True) > 0.15).float()


def error_of(y, x, weight):
    return (((y - x).abs() + (y - x).square()) * weight).mean() / weight.mean()


def batch(step):
    rng = random.Random(f"vae {step}")
    side, clip, count = next(rest for until, *rest in STAGES if until is None or step < until)
    pixels, weight = zip(*(crop(rng, side, clip) for _ in range(count)))
    return torch.stack(pixels).to(DEVICE), torch.stack(weight).to(DEVICE)


def loss_of(vae, step):
    x, weight = batch(step)
    posterior = vae.encode(x).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=torch.Generator().manual_seed(step)).to(DEVICE)
    y = vae.decode(posterior.mean + posterior.std * noise).sample
    error = error_of(y, x, weight)
    kl = 0.5 * (posterior.mean.square() + posterior.var - 1 - posterior.logvar).mean()
    psnr = -10 * torch.log10((y - x).square().mean() / 4)
    cost = next(cost for until, cost in KL if until is None or step < until)
    return error + cost * kl, {"error": error.item(), "kl": kl.item(), "psnr": psnr.item()}


@torch.no_grad()
def statistics(vae, clips=96):
    """Mean and deviation of each latent channel over whole clips, and the peak signal-to-noise ratio of their decodes."""
    rng, rows, errors = random.Random("statistics"), [], []
    for n in range(clips):
        x = render(sample_scene(rng)).unsqueeze(0).to(DEVICE)
        z = vae.encode(x).latent_dist.mode()
        rows.append(z[0].flatten(1))
        if n < 24:
            errors.append((vae.decode(z).sample.clamp(-1, 1) - x).square().mean() / 4)
    z = torch.cat(rows, 1)
    psnr = -10 * torch.log10(torch.stack(errors).mean())
    return {"mean": z.mean(1).tolist(), "std": z.std(1).tolist(), "psnr": psnr.item()}


def load():
    """The trained autoencoder and the statistics of its latents."""
    vae = build().eval().requires_grad_(False)
    vae.load_state_dict(torch.load(RUN / "vae.pt", map_location=DEVICE)["mean"])
    return vae, json.loads((RUN / "latents.json").read_text())


def main():
    args = arguments(4000)
    vae = build()
    train("vae", vae, lambda step: loss_of(vae, step), args.steps, args.minutes, peak=2e-3, average=0.99)
    stats = statistics(vae.eval())
    (RUN / "latents.json").write_text(json.dumps(stats))
    print("whole clips: %.1f dB" % stats["psnr"])


if __name__ == "__main__":
    main()
