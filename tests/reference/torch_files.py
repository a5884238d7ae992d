"""Small PyTorch files of every kind that checkpoints come as, and the values they must give.

Written with torch 2.15.0. Besides the golden, two files: a flat state dict and one nested under "state_dict".
"""
import collections

import torch

from common import GOLDENS, save


def state_dict():
    generator = torch.Generator("cpu").manual_seed(5)
    base = torch.randn(4, 6, generator=generator)
    half = torch.randn(3, 2, generator=generator)
    tensors = collections.OrderedDict()
    tensors["base"] = base
    tensors["parameter"] = torch.nn.Parameter(torch.randn(5, generator=generator))
    tensors["f16"] = half.half()
    tensors["bf16"] = half.bfloat16()
    tensors["f64"] = half.double()
    tensors["long"] = torch.arange(4)
    # The rest share the first tensor's storage.
    tensors["row"] = base[2]
    tensors["column"] = base[:, 1]
    tensors["transposed"] = base.t()
    tensors["block"] = base[1:3, 2:5]
    tensors["scalar"] = base[3, 5]
    tensors["empty"] = torch.zeros(0, 3)
    return tensors


def main():
    torch.set_num_threads(1)
    tensors = state_dict()
    save("torch_files", {name: t for name, t in tensors.items() if t.numel()})
    flat = torch.nn.Linear(1, 1).state_dict()
    flat.clear()
    flat.update(tensors)
    torch.save(flat, GOLDENS / "torch_flat.pth")
    nested = {"epoch": 3, "rate": 0.5, "none": None, "list": [1, -70000, 2**40], "state_dict": tensors}
    torch.save(nested, GOLDENS / "torch_nested.pth")
    for path in sorted(GOLDENS.glob("torch_*.pth")):
        print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
