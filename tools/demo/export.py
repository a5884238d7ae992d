"""Writes the trained model as a diffusers folder in f16, and compresses it for the binary.

`python export.py [OUT]` writes OUT (RUN/model) through the libraries' own `save_pretrained`, and then the files that the
engine embeds to pipeline/assets/demo.
"""
import gzip
import json
import pathlib
import shutil
import sys

from diffusers import UniPCMultistepScheduler, WanPipeline

import dit
import text
import vae
from common import HERE, RUN
from data import FRAMES, SIZE

ASSETS = HERE.parents[1] / "pipeline" / "assets" / "demo"
DEFAULTS = {"width": SIZE, "height": SIZE, "num_frames": FRAMES, "fps": 12, "num_inference_steps": 20,
            "guidance_scale": 3.0, "negative_prompt": ""}


def save_model(folder):
    tokenizer, encoder = text.load()
    autoencoder, stats = vae.load()
    autoencoder.register_to_config(latents_mean=stats["mean"], latents_std=stats["std"])
    scheduler = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=dit.SHIFT)
    pipe = WanPipeline(tokenizer, encoder, autoencoder, scheduler, dit.load())
    for part in (encoder, autoencoder, pipe.transformer):
        part.half()
    shutil.rmtree(folder, ignore_errors=True)
    pipe.save_pretrained(folder)
    (folder / "generation_config.json").write_text(json.dumps(DEFAULTS, indent=2) + "\n")


def embed(folder):
    """Copies what the engine reads, weights compressed; returns their bytes before and after."""
    shutil.rmtree(ASSETS, ignore_errors=True)
    before = after = 0
    names = ["model_index.json", "generation_config.json", "scheduler/scheduler_config.json", "tokenizer/tokenizer.json"]
    names += [f"{part}/config.json" for part in ("text_encoder", "transformer", "vae")]
    for name in names:
        (ASSETS / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(folder / name, ASSETS / name)
    for file in folder.glob("*/*.safetensors"):
        data = file.read_bytes()
        packed = gzip.compress(data, 9, mtime=0)
        (ASSETS / file.parent.name / f"{file.name}.gz").write_bytes(packed)
        before, after = before + len(data), after + len(packed)
    return before, after


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else RUN / "model"
    save_model(folder)
    print("%d bytes of weights, %d compressed" % embed(folder))


if __name__ == "__main__":
    main()
