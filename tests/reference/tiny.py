"""The tiny decoder of TAEHV (taew2_1, taew2_2) at toy widths, written after its description: videos and the weights
under the file's own names.

Written with torch 2.15.0.
"""
import torch
from torch import nn
from torch.nn import functional as F

from common import randomize, save

torch.set_num_threads(1)


def conv(inputs, outputs, bias=True, size=3):
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=bias)


class Clamp(nn.Module):
    def forward(self, x):
        return torch.tanh(x / 3) * 3


class MemBlock(nn.Module):
    """Takes frames [t, c, h, w] beside the frames before them."""

    def __init__(self, width):
        super().__init__()
        self.conv = nn.Sequential(conv(2 * width, width), nn.ReLU(), conv(width, width), nn.ReLU(), conv(width, width))

    def forward(self, x):
        past = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
        return F.relu(self.conv(torch.cat([x, past], 1)) + x)


class TGrow(nn.Module):
    def __init__(self, width, frames, extra):
        super().__init__()
        self.conv = conv(width, (frames + extra) * width, bias=False, size=1)
        self.frames = frames

    def forward(self, x):
        t, c, h, w = x.shape
        weight = self.conv.weight[-self.frames * c:]
        return F.conv2d(x, weight).reshape(t * self.frames, c, h, w)


def stage(width, after, frames, extra=0):
    blocks = [MemBlock(width) for _ in range(3)]
    return [*blocks, nn.Upsample(scale_factor=2), TGrow(width, frames, extra), conv(width, after, bias=False)]


class Decoder(nn.Module):
    def __init__(self, z_dim, widths, patch, extra):
        super().__init__()
        a, b, c, d = widths
        self.patch = patch
        self.decoder = nn.Sequential(Clamp(), conv(z_dim, a), nn.ReLU(), *stage(a, b, 1, extra), *stage(b, c, 2),
                                     *stage(c, d, 2), nn.ReLU(), conv(d, 3 * patch * patch))

    def forward(self, latents):
        """[1, z, t, h, w] to [1, 3, 4 t - 3, height, width] in 0..1."""
        frames = self.decoder(latents[0].transpose(0, 1)).clamp(0, 1)
        return F.pixel_shuffle(frames, self.patch)[3:].transpose(0, 1)[None]


def golden(name, seed, z_dim, widths, patch, extra, shape):
    model = randomize(Decoder(z_dim, widths, patch, extra), seed)
    with torch.no_grad():
        # Keeps values inside the clamp.
        model.decoder[22].weight.mul_(0.2)
        model.decoder[22].bias.fill_(0.5)
    latents = torch.randn(1, z_dim, *shape, generator=torch.Generator("cpu").manual_seed(seed)) * 2
    with torch.no_grad():
        video = model(latents)
        one = model(latents[:, :, :1])
    inside = ((video > 0) & (video < 1)).float().mean().item()
    print(f"{name}: {inside:.3f} inside the clamp, std {video.std():.3f}")
    assert inside > 0.7 and video.std() > 0.05
    save(name, dict(model.named_parameters()) | {"latents": latents, "video": video, "one": one})


golden("tiny_2_1", 31, 5, (12, 8, 6, 6), 1, 0, (3, 3, 5))
golden("tiny_2_2", 32, 6, (8, 8, 6, 5), 2, 1, (2, 4, 3))
