"""Shared by the golden scripts: seeded, well-scaled random weights and one way to write a golden file.

Each script writes tests/goldens/<its name>.safetensors and gives the same bytes every time it runs with
torch 2.15.0, diffusers 0.42.1 and transformers 5.23.0 on a CPU.
"""
import json
import pathlib

import torch
from safetensors.torch import save_file

GOLDENS = pathlib.Path(__file__).resolve().parent.parent / "goldens"


def randomize(module, seed, gain=1.0):
    """Weights such that activations neither vanish nor saturate: fan-in scaled matrices, norms around one."""
    generator = torch.Generator("cpu").manual_seed(seed)
    with torch.no_grad():
        for name, p in sorted(module.named_parameters()):
            noise = torch.randn(p.shape, generator=generator)
            if "norm" in name and name.endswith("weight") or "gamma" in name or name.endswith("layer_norm.weight"):
                p.copy_(1 + 0.2 * noise)
            elif "scale_shift_table" in name or name.endswith("bias"):
                p.copy_(0.2 * noise)
            elif "shared" in name or "embed_tokens" in name or "relative_attention_bias" in name:
                p.copy_(noise)
            else:
                fan_in = p[0].numel()
                p.copy_(noise * gain / fan_in**0.5)
    return module.eval()


def save(name, tensors, metadata=None):
    GOLDENS.mkdir(exist_ok=True)
    path = GOLDENS / f"{name}.safetensors"
    out = {}
    for key, t in tensors.items():
        t = t.detach().contiguous().clone()
        out[key] = t.long() if not t.is_floating_point() else t.float()
    save_file(out, path, metadata=metadata)
    if metadata:
        sort_metadata(path)
    size = path.stat().st_size
    print(f"{path.name}: {len(out)} tensors, {size / 1024:.0f} KiB")
    assert size < 1 << 20, "goldens stay under 1 MiB"


def sort_metadata(path):
    """The writer's metadata come out of a hash map in any order."""
    data = path.read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8:8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    assert len(text) <= size
    path.write_bytes(data[:8] + text.ljust(size) + data[8 + size:])
