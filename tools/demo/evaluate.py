"""Asks the model for clips and looks at them: the shape and colour of what moves, and where it goes.

`python evaluate.py [--model DIR] [--count N]` runs the held-out prompts through diffusers;
`python evaluate.py --wan BINARY` through the engine. `--sheet OUT.webp` also draws an animated sheet of twelve clips.
"""
import argparse
import functools
import json
import math
import pathlib
import subprocess
import tempfile

import numpy as np
import torch

from common import HERE, RUN
from data import COLOURS, DIRECTIONS, SHAPES, distance

SHEET = ["a red ball rolls to the left", "a yellow star flies up and to the right", "a big blue square slides right",
         "the ring, purple, falls down", "a green triangle spins", "a white ball bounces",
         "a blue star grows", "a red ring shrinks", "a small purple triangle rises",
         "a green square moves to the lower left corner", "a yellow ball goes down-right on a black background",
         "a white star drifts left on a dark blue background"]


def mask(clip):
    """[F, H, W]: how far a pixel is from the background, 0 where it is part of it. `clip` is [F, H, W, 3] in 0..1."""
    rim = np.concatenate([clip[:, :, :3].reshape(-1, 3), clip[:, :, -3:].reshape(-1, 3)])
    distance = np.abs(clip - np.median(rim, 0)).max(3)
    return np.where(distance > 0.2, distance, 0)


def colour(clip, weight):
    """The name of the colour nearest to the pixels furthest from the background."""
    core = weight > 0.8 * np.quantile(weight[weight > 0], 0.9)
    rgb = np.median(clip[core], 0) * 255
    return min(COLOURS, key=lambda name: np.abs(rgb - COLOURS[name]).sum())


@functools.cache
def unit_area(name):
    at = (torch.arange(200) + 0.5) / 50 - 2
    return (distance(name, at.view(1, -1), at.view(-1, 1), torch.ones(())) < 0).sum().item() / 2500


def outline(name, turn, centre, area, height, width):
    """[H, W]: the shape of that area, whether a pixel is inside."""
    y, x = (torch.arange(n).view(s) - c for n, s, c in zip((height, width), ((-1, 1), (1, -1)), centre))
    c, s = math.cos(turn), math.sin(turn)
    return (distance(name, c * x + s * y, c * y - s * x, torch.tensor(area / unit_area(name)).sqrt()) < 0).numpy()


def shape(weight):
    """The name of the shape whose outline lies best over what is seen in the middle frames, turned as it may be."""
    frames, height, width = weight.shape
    overlap = dict.fromkeys(SHAPES, 0.0)
    for frame in weight[frames // 4:-frames // 4:2]:
        seen = frame > 0.5 * frame.max()
        centre = [c.mean() for c in np.nonzero(seen)]
        for name in overlap:
            drawn = [outline(name, turn * math.pi / 15, centre, seen.sum(), height, width) for turn in range(15)]
            overlap[name] += max((seen & d).sum() / (seen | d).sum() for d in drawn)
    return max(overlap, key=overlap.get)


def direction(weight):
    """The name of the path from the first quarter of the clip to the last, None if it is short."""
    frames, height, width = weight.shape
    ys, xs = np.mgrid[:height, :width]
    total = weight.sum((1, 2)) + 1e-9
    x, y = (weight * xs).sum((1, 2)) / total / width, (weight * ys).sum((1, 2)) / total / height
    q = frames // 4
    dx, dy = (c[-q:].mean() - c[:q].mean() for c in (x, y))
    if math.hypot(dx, dy) < 0.15:
        return None
    sector = round(math.atan2(dy, dx) / (math.pi / 4)) % 8
    steps = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)]
    return next(name for name, step in DIRECTIONS.items() if step == steps[sector])


def look(clip):
    """(shape, colour, direction) of what moves in a clip, None thrice if nothing is there."""
    weight = mask(clip)
    if (weight > 0).sum() < 20 * len(clip):
        return None, None, None
    return shape(weight), colour(clip, weight), direction(weight)


def with_diffusers(folder, guidance):
    from diffusers import WanPipeline

    pipe = WanPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    defaults = json.loads((folder / "generation_config.json").read_text())
    fps = defaults.pop("fps")
    if guidance:
        defaults["guidance_scale"] = guidance
    return fps, lambda prompt, seed: pipe(
        prompt, generator=torch.Generator().manual_seed(seed), output_type="np", **defaults).frames[0]


def with_engine(binary):
    from PIL import Image, ImageSequence

    def clip(prompt, seed):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "clip.webp"
            subprocess.run([binary, "generate", "--prompt", prompt, "--seed", str(seed), "--quiet", "-o", file], check=True)
            frames = ImageSequence.Iterator(Image.open(file))
            return np.stack([np.asarray(frame.convert("RGB")) for frame in frames]) / 255
    return 12, clip


def draw_sheet(clips, fps, out):
    """Four clips a row, enlarged by a half."""
    from PIL import Image

    clips = [np.pad((c * 255).round().astype(np.uint8), ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=255) for c in clips]
    rows = [np.concatenate(clips[i:i + 4], 2) for i in range(0, len(clips), 4)]
    sheet = np.concatenate(rows, 1)
    frames = [Image.fromarray(f).resize((f.shape[1] * 3 // 2, f.shape[0] * 3 // 2), Image.Resampling.BICUBIC) for f in sheet]
    frames[0].save(out, save_all=True, append_images=frames[1:], duration=round(1000 / fps), loop=0, quality=80, method=6)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=pathlib.Path, default=RUN / "model")
    parser.add_argument("--wan")
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--sheet", type=pathlib.Path)
    args = parser.parse_args()
    fps, make = with_engine(args.wan) if args.wan else with_diffusers(args.model, args.guidance)
    if args.sheet:
        draw_sheet([make(prompt, seed) for seed, prompt in enumerate(SHEET)], fps, args.sheet)
    prompts = json.loads((HERE / "prompts.json").read_text())[:args.count]
    right = {"shape": 0, "colour": 0, "direction": 0}
    for seed, row in enumerate(prompts):
        seen = dict(zip(right, look(make(row["prompt"], seed))))
        for k in right:
            right[k] += seen[k] == row[k]
        if any(seen[k] != row[k] for k in right):
            print(row["prompt"], "->", seen, flush=True)
    print({k: f"{v} of {len(prompts)}" for k, v in right.items()})


if __name__ == "__main__":
    main()
