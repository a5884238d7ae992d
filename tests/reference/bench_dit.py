"""Times forward passes of the transformer in a diffusers folder, f32 on a CPU, and prints one line of JSON.

    bench_dit.py FOLDER [--height 256 --width 256 --frames 5 --threads 2 --repeats 1]
"""
import argparse
import json
import pathlib
import resource
import time

import torch
from diffusers import WanTransformer3DModel

TEXT_ROWS = 512


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    for name, default in dict(height=256, width=256, frames=5, threads=2, repeats=1).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def main():
    args = options()
    torch.set_num_threads(args.threads)
    model = WanTransformer3DModel.from_pretrained(args.folder, subfolder="transformer", torch_dtype=torch.float32)
    generator = torch.Generator("cpu").manual_seed(0)
    latent = (1, model.config.in_channels, (args.frames - 1) // 4 + 1, args.height // 8, args.width // 8)
    x = torch.randn(latent, generator=generator)
    text = torch.randn(1, TEXT_ROWS, model.config.text_dim, generator=generator)
    seconds = []
    with torch.inference_mode():
        for _ in range(args.repeats):
            start = time.perf_counter()
            v = model(x, torch.tensor([500]), text, return_dict=False)[0]
            seconds.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    report = dict(latent=latent, tokens=latent[2] * latent[3] * latent[4] // 4, threads=args.threads)
    report.update(seconds=seconds, peak_rss_bytes=peak, output_std=v.std().item())
    print(json.dumps(report))


if __name__ == "__main__":
    main()
