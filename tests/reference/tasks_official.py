"""What the official code does around its networks: pictures, conditioning, grids and loops, for tasks.py.

torch 2.15.0, Pillow 13.0.0.
"""
import numpy as np
import torch
from PIL import Image

from images import bicubic, clip_official, planes


def encode(vae, video):
    """The mode of the encoder's distribution, normalised: [1, z, frames, rows, columns]."""
    mean, std = (torch.tensor(v).view(1, -1, 1, 1, 1) for v in (vae.config.latents_mean, vae.config.latents_std))
    return (vae.encode(video).latent_dist.mode() - mean) * (1.0 / std)


def condition(vae, frames, first, last=None):
    """Mask and image latents, [1, 20, t, h, w], of planes [3, height, width] from -1 to 1."""
    video = torch.zeros(1, 3, frames, *first.shape[1:])
    given = torch.zeros(frames)
    for index, picture in [(0, first), (frames - 1, last)]:
        if picture is not None:
            video[0, :, index], given[index] = picture, 1
    latents = encode(vae, video)
    packed = torch.cat([given[:1].repeat(4), given[1:]]).reshape(-1, 4).T
    mask = packed[None, :, :, None, None].expand(-1, -1, -1, *latents.shape[3:])
    return torch.cat([mask, latents], 1)


def stretched(picture, height, width):
    """The whole picture, four taps a side."""
    return bicubic(planes(picture), height, width)


def covering(picture, height, width):
    """The middle of the picture after it was made large enough, by Lanczos."""
    image = Image.fromarray(picture.numpy())
    scale = max(width / image.width, height / image.height)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return planes(torch.from_numpy(np.array(image.crop((left, top, left + width, top + height)))))


def clip_states(encoder, picture):
    return encoder(pixel_values=clip_official(picture)[None], output_hidden_states=True).hidden_states[-2]


def size_of_area(picture, area):
    """Height and width of an image task, in floating point and floored step by step."""
    proportion = picture.shape[0] / picture.shape[1]
    sides = [(area * proportion) ** 0.5, (area / proportion) ** 0.5]
    return tuple(round(side // 8 // 2 * 2) * 8 for side in sides)


def best_size(picture, area, step=32):
    """Height and width of the 5B's image mode: the nearer proportions of two sizes below the area."""
    wanted = picture.shape[1] / picture.shape[0]
    width = (area * wanted) ** 0.5
    height = area / width
    narrow = int(width // step * step)
    flat = int(height // step * step)
    sizes = [(int(area / narrow // step * step), narrow), (flat, int(area / flat // step * step))]
    off = [max(wanted / (w / h), w / h / wanted) for h, w in sizes]
    return sizes[0] if off[0] < off[1] else sizes[1]


def guided(forward, texts, scale):
    with_prompt, without = (forward(text) for text in texts)
    return without + scale * (with_prompt - without)


def euler(flow, x, steps, shift, overlay=lambda x: x):
    """Final latents and those after each step; `flow` gets a timestep that is not rounded."""
    fractions = [1 - i / steps for i in range(steps)]
    sigmas = [shift * s / (1 + (shift - 1) * s) for s in fractions] + [0.0]
    states, x = [], overlay(x)
    with torch.no_grad():
        for here, there in zip(sigmas, sigmas[1:]):
            x = overlay(x + (there - here) * flow(x, here * 1000))
            states.append(x)
    return {"latents": x} | {f"step_{i:03}": x for i, x in enumerate(states)}
