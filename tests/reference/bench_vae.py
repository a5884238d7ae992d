"""Time and peak memory of a full-size Wan 2.1 VAE decode in diffusers, for comparison with `vae_decode`.

Measured with torch 2.15.0 and diffusers 0.42.1. Random weights, f32, latents [1, 16, 2, 32, 32], two threads.
"""
import resource
import time

import torch
from diffusers import AutoencoderKLWan

torch.set_num_threads(2)
torch.manual_seed(1)
vae = AutoencoderKLWan().eval()
del vae.encoder
latents = torch.randn(1, 16, 2, 32, 32)
wall, cpu = time.perf_counter(), time.process_time()
with torch.inference_mode():
    shape = tuple(vae.decode(latents).sample.shape)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(f"{shape}: {wall:.1f} s, {cpu:.1f} s of processor time, peak {peak} MiB")
