"""Trains the autoencoder's decoder further, the encoder left as it is: on latents that are a little wrong.

What the transformer draws is never exactly what the encoder would have said. `python decoder.py [--steps N]
[--minutes M]` reads RUN/clips.pt and goes on from RUN/decoder.pt, which `export.py` prefers to the first decoder.
"""
import random

import torch

import dit
import vae
from common import DEVICE, RUN, arguments, train
from data import render

# Latent rows and columns of a crop; outermost pixels that do not count, as the decoder sees no neighbours there.
CROP, RIM, BATCH = 6, 8, 3
NOISE = 0.25


class Clips:
    def __init__(self):
        _, stats = vae.load()
        self.latents, self.scenes = dit.clips(dit.CLIPS), dit.scenes(dit.CLIPS)
        self.mean, self.std = (torch.tensor(stats[k], device=DEVICE).view(-1, 1, 1, 1) for k in ("mean", "std"))

    def crop(self, rng, g):
        """Disturbed latents [16, 5, CROP, CROP], pixels [3, 17, 8 CROP, 8 CROP], and how much each pixel counts."""
        n = rng.randrange(len(self.scenes))
        latents, pixels = self.latents[n].float(), render(self.scenes[n])
        room = latents.shape[-1] - CROP
        y, x = rng.randint(0, room), rng.randint(0, room)
        noise = torch.randn(latents.shape, generator=g) * NOISE * rng.random() ** 2
        latents = ((latents + noise).to(DEVICE) * self.std + self.mean)[..., y:y + CROP, x:x + CROP]
        pixels = pixels[..., 8 * y:8 * (y + CROP), 8 * x:8 * (x + CROP)].to(DEVICE)
        weight = vae.weight_of(pixels, self.scenes[n])
        for axis, start in ((2, y), (3, x)):
            if start > 0:
                weight.narrow(axis, 0, RIM).zero_()
            if start < room:
                weight.narrow(axis, 8 * CROP - RIM, RIM).zero_()
        return latents, pixels, weight

    def loss_of(self, autoencoder, step):
        rng, g = random.Random(f"decoder {step}"), torch.Generator().manual_seed(step)
        latents, x, weight = (torch.stack(part) for part in zip(*(self.crop(rng, g) for _ in range(BATCH))))
        error = vae.error_of(autoencoder.decode(latents).sample, x, weight)
        return error, {"error": error.item()}


def load():
    """The autoencoder with its best decoder, and the statistics of its latents."""
    autoencoder, stats = vae.load()
    file = RUN / "decoder.pt"
    if file.exists():
        autoencoder.load_state_dict(torch.load(file, map_location=DEVICE)["mean"])
    return autoencoder, stats


def main():
    args = arguments(900)
    autoencoder, _ = vae.load()
    for part in (autoencoder.decoder, autoencoder.post_quant_conv):
        part.requires_grad_(True)
    clips = Clips()
    train("decoder", autoencoder, lambda step: clips.loss_of(autoencoder, step), args.steps, args.minutes, peak=5e-4,
          average=0.99)


if __name__ == "__main__":
    main()
