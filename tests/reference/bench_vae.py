"""Time and peak memory of a full-size Wan 2.1 VAE decode or encode in diffusers, for comparison with `vae`.

    bench_vae.py [--encode] [--latent F,H,W]

Measured with torch 2.15.0 and diffusers 0.42.1. Random weights, f32, two threads.
"""
import argparse
import resource
import time

import torch
from diffusers import AutoencoderKLWan

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--encode", action="store_true")
parser.add_argument("--latent", default="2,32,32")
args = parser.parse_args()
frames, rows, columns = map(int, args.latent.split(","))

torch.set_num_threads(2)
torch.manual_seed(1)
vae = AutoencoderKLWan().eval()
if args.encode:
    del vae.decoder
    video = torch.randn(1, 3, 4 * frames - 3, 8 * rows, 8 * columns).clamp(-1, 1)
    work = lambda: vae.encode(video).latent_dist.mode()
else:
    del vae.encoder
    latents = torch.randn(1, 16, frames, rows, columns)
    work = lambda: vae.decode(latents).sample
wall, cpu = time.perf_counter(), time.process_time()
with torch.inference_mode():
    shape = tuple(work().shape)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(f"{shape}: {wall:.1f} s, {cpu:.1f} s of processor time, peak {peak} MiB")
