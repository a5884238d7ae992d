"""Prints what the textbook quantizers of quant.py cost one block of LingBot-World at full width: relative L2 error of the
network's output, on a stream, a prompt and a camera path of unit scale. `wan bench quant` measures the same on the engine's side.
"""
import math

import numpy as np
import torch

import camera
import dit_camera
from quant import int8, nf4

DIM, FFN, IN, OUT, TEXT, CONTROL, LATENT = 5120, 13824, 36, 16, 64, 1536, (2, 30, 32)
LARGE = [f"blocks.0.{a}.{p}" for a in ["self_attn", "cross_attn"] for p in "qkvo"]
LARGE += ["blocks.0.ffn.linear1", "blocks.0.ffn.linear2"]
LARGE += [f"blocks.0.camera.{p}" for p in ["linear1", "linear2", "scale", "shift"]]


def random(g):
    def linear(name, inputs, outputs):
        weight = torch.randn(outputs, inputs, generator=g) / math.sqrt(inputs)
        return {f"{name}.weight": weight, f"{name}.bias": torch.randn(outputs, generator=g) * 0.1}

    near_one = lambda: 1 + 0.1 * torch.randn(DIM, generator=g)
    sizes = {"patch_embedding": (4 * IN, DIM), "head.head": (DIM, 4 * OUT), "time_projection": (DIM, 6 * DIM)}
    sizes |= {"time_embedding.linear1": (256, DIM), "time_embedding.linear2": (DIM, DIM)}
    sizes |= {"text_embedding.linear1": (TEXT, DIM), "text_embedding.linear2": (DIM, DIM)}
    sizes |= {"camera.control": (CONTROL, DIM), "camera.linear1": (DIM, DIM), "camera.linear2": (DIM, DIM)}
    sizes |= {name: (DIM, DIM) for name in LARGE}
    sizes |= {"blocks.0.ffn.linear1": (DIM, FFN), "blocks.0.ffn.linear2": (FFN, DIM)}
    w = {}
    for name, size in sizes.items():
        w |= linear(name, *size)
    for part in ["blocks.0.modulation", "head.modulation"]:
        w[part] = torch.randn(1, 6 if "blocks" in part else 2, DIM, generator=g) / math.sqrt(DIM)
    for part in ["self_attn", "cross_attn"]:
        w |= {f"blocks.0.{part}.norm_{p}.weight": near_one() for p in "qk"}
    return w | {"blocks.0.norm3.weight": near_one(), "blocks.0.norm3.bias": torch.randn(DIM, generator=g) * 0.1}


def walk():
    """Five frames forward and to the left, as control values of two latent frames."""
    poses = np.tile(np.eye(4), (5, 1, 1))
    for n, pose in enumerate(poses):
        pose[:3, :3] = [[math.cos(0.05 * n), 0, -math.sin(0.05 * n)], [0, 1, 0], [math.sin(0.05 * n), 0, math.cos(0.05 * n)]]
        pose[2, 3] = 0.1 * n
    intrinsics = np.tile([416.0, 416.0, 416.0, 240.0], (5, 1))
    relative = camera.steps(camera.resample(poses, LATENT[0]), np.float64)
    images = camera.rays(relative, intrinsics, 8 * LATENT[1], 8 * LATENT[2])
    return camera.tokens(camera.pack(images).astype(np.float32))[None]


def main():
    dit_camera.HEADS, dit_camera.HEAD_DIM, dit_camera.DIM = DIM // 128, 128, DIM
    g = torch.Generator("cpu").manual_seed(70)
    w = random(g)
    inputs = [torch.randn(1, IN, *LATENT, generator=g), torch.tensor([500.0]), torch.randn(1, 20, TEXT, generator=g), walk()]
    with torch.no_grad():
        flow = lambda w: dit_camera.forward(w, 1, *inputs)
        exact = flow(w)
        quantizers = {"int8, a scale a row": lambda x: int8(x, x.shape[1])[2], "int8, blocks of 256": lambda x: int8(x, 256)[2],
                      "nf4": lambda x: nf4(x)[2]}
        for name, quantize in quantizers.items():
            held = {f"{key}.weight": torch.from_numpy(quantize(w[f"{key}.weight"].numpy())) for key in LARGE}
            print(name, ((flow(w | held) - exact).norm() / exact.norm()).item())


if __name__ == "__main__":
    main()
