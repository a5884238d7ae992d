"""Writes tests/goldens/bnb.safetensors, weights as bitsandbytes serialises them inside a file of diffusers, and
tests/goldens/bnb_values.safetensors, what they stand for.

bitsandbytes itself is not needed: codes and states follow its published sources, `QuantState.as_dict(packed=True)` in
bitsandbytes/functional.py and `Linear8bitLt._save_to_state_dict` in bitsandbytes/nn/modules.py, commit
0083b2b51a38eb6c345a80071d9d42993339bd94. NumPy 2.4.6, torch 2.15.0, safetensors 0.8.
"""
import json

import numpy as np
import torch
from safetensors.torch import save_file

from common import GOLDENS, save
from quant import NF4, dynamic_map, nest, nf4

F = np.float32


def tensor(x, dtype=None):
    return torch.from_numpy(np.ascontiguousarray(x if dtype is None else x.astype(dtype)))


def state(values):
    return torch.tensor(list(json.dumps(values).encode()), dtype=torch.uint8)


def four_bits(w, name, nested):
    # Blocks go over the ends of rows.
    packed, absmax, _ = nf4(w.reshape(-1, 64))
    about = {"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": list(w.shape)}
    out = {f"{name}.weight": tensor(packed.reshape(-1, 1), np.uint8), f"{name}.weight.quant_map": tensor(NF4.copy())}
    if nested:
        codes, most, offset, maxima = nest(absmax)
        about |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": float(offset)}
        out |= {f"{name}.weight.absmax": tensor(codes, np.uint8), f"{name}.weight.nested_absmax": tensor(most),
                f"{name}.weight.nested_quant_map": tensor(dynamic_map())}
    else:
        maxima = absmax
        out[f"{name}.weight.absmax"] = tensor(absmax.reshape(-1))
    out[f"{name}.weight.quant_state.bitsandbytes__nf4"] = state(about)
    codes = np.stack([packed >> 4, packed & 15], axis=-1).reshape(-1, 64)
    return out, (NF4[codes] * maxima.reshape(-1, 1)).reshape(w.shape).astype(F)


def eight_bits(w, name):
    most = np.abs(w).max(axis=1)
    codes = np.rint(w * (F(127) / most)[:, None])
    out = {f"{name}.weight": tensor(codes, np.int8), f"{name}.SCB": tensor(most),
           f"{name}.weight_format": torch.tensor(0, dtype=torch.uint8)}
    return out, (codes * (most / F(127))[:, None]).astype(F)


def main():
    rng = np.random.default_rng(31)
    w = {name: (rng.standard_normal(shape) * 0.1).astype(F)
         for name, shape in [("plain", (24, 128)), ("nested", (40, 1024)), ("rows", (24, 128)), ("short", (6, 96))]}
    file, values = {"norm.weight": tensor(rng.standard_normal(128), F)}, {}
    for name in w:
        tensors, values[name] = eight_bits(w[name], name) if name == "rows" else four_bits(w[name], name, name == "nested")
        file |= tensors
    save_file(file, (GOLDENS / "bnb").with_suffix(".safetensors"))
    save("bnb_values", {name: tensor(value) for name, value in values.items()})


if __name__ == "__main__":
    main()
