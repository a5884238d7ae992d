"""Writes tests/goldens/quant.safetensors: matrices in eight and four bits by bitsandbytes' definitions, in plain NumPy.

The 16 values of nf4 and the bounds between them are the published ones, the map of nested maxima is made as published:
csrc/kernels.cu and bitsandbytes/functional.py, commit 0083b2b51a38eb6c345a80071d9d42993339bd94. NumPy 2.4.6, torch 2.15.0.
"""
from decimal import Decimal

import numpy as np
import torch

from common import save

F = np.float32

def single(text):
    """The float nearest to a decimal, as a C compiler reads it: by way of a double it would be rounded twice."""
    near = F(float(text))
    around = [np.nextafter(near, F(-2), dtype=F), near, np.nextafter(near, F(2), dtype=F)]
    return min(around, key=lambda x: abs(Decimal(float(x)) - Decimal(text)))


NF4 = np.array([single(text) for text in """
    -1.0 -0.6961928009986877 -0.5250730514526367 -0.39491748809814453 -0.28444138169288635 -0.18477343022823334
    -0.09105003625154495 0.0 0.07958029955625534 0.16093020141124725 0.24611230194568634 0.33791524171829224
    0.44070982933044434 0.5626170039176941 0.7229568362236023 1.0""".split()])

BOUNDS = np.array([single(text) for text in """
    -0.8480964004993439 -0.6106329262256622 -0.4599952697753906 -0.33967943489551544 -0.23460740596055984
    -0.13791173323988914 -0.045525018125772476 0.03979014977812767 0.1202552504837513 0.2035212516784668
    0.2920137718319893 0.3893125355243683 0.5016634166240692 0.6427869200706482 0.8614784181118011""".split()])


def dynamic_map(decades=7):
    """Signed, of eight bits."""
    values = [0.0, 1.0]
    for decade in range(decades):
        bounds = torch.linspace(0.1, 1, 2**decade + 1, dtype=torch.float32)
        middles = (bounds[:-1] + bounds[1:]) / 2.0
        values += (10.0 ** (decade + 1 - decades) * middles).tolist()
        values += (-(10.0 ** (decade + 1 - decades)) * middles).tolist()
    return np.sort(np.array(values, F))


def blocks_of(x, block):
    x = x.reshape(-1, block)
    absmax = np.abs(x).max(axis=1)
    return x, absmax


def int8(x, block):
    """Codes, scales, and the matrix that they stand for."""
    x_blocks, absmax = blocks_of(x, block)
    with np.errstate(divide="ignore"):
        factor = np.where(absmax > 0, F(127) / absmax, F(0)).astype(F)
    codes = np.rint(x_blocks * factor[:, None])
    scales = absmax / F(127)
    return codes.reshape(x.shape), scales.reshape(len(x), -1), (codes.astype(F) * scales[:, None]).reshape(x.shape)


def nf4(x, block=64):
    """Bytes, maxima, and the matrix that they stand for."""
    x_blocks, absmax = blocks_of(x, block)
    with np.errstate(divide="ignore"):
        factor = np.where(absmax > 0, F(1) / absmax, F(0)).astype(F)
    codes = np.searchsorted(BOUNDS, x_blocks * factor[:, None], side="left")
    pairs = codes.reshape(-1, 2)
    packed = (pairs[:, 0] << 4 | pairs[:, 1]).reshape(len(x), -1)
    return packed, absmax.reshape(len(x), -1), (NF4[codes] * absmax[:, None]).reshape(x.shape)


def nest(maxima, block=256):
    """Codes, maxima of the maxima, their mean, and the maxima that these stand for."""
    table = dynamic_map()
    offset = F(np.mean(maxima, dtype=np.float64))
    centred = (maxima.reshape(-1) - offset).astype(F)
    codes, most = [], []
    for start in range(0, len(centred), block):
        part = centred[start:start + block]
        absmax = np.abs(part).max()
        scaled = part * (F(1) / absmax)
        codes.append(np.abs(scaled[:, None].astype(np.float64) - table[None]).argmin(axis=1))
        most.append(absmax)
    codes, most = np.concatenate(codes), np.array(most, F)
    values = table[codes] * np.repeat(most, block)[:len(codes)] + offset
    return codes, most, offset, values.astype(F).reshape(maxima.shape)


def weights(rng, n, k):
    """Normal, but for a block of zeros, an outlier and what lies on bounds and halves."""
    w = rng.standard_normal((n, k)).astype(F) * F(k**-0.5)
    w[0, 64:128] = 0
    w[1, 5] = 40 * w[1].std()
    w[2, :64] = 0
    w[2, :16], w[2, 16:31], w[2, 31:46] = NF4, BOUNDS, np.nextafter(BOUNDS, F(2), dtype=F)
    w[3, :64] = np.arange(64, dtype=F) - F(31.5)
    w[3, 63], w[3, 64:] = 127, np.clip(w[3, 64:], -1, 1)
    return w


def main():
    rng = np.random.default_rng(20)
    n, k, m = 21, 192, 5
    w = weights(rng, n, k)
    x = rng.standard_normal((m, k)).astype(F)
    out = {"w": w, "x": x, "map": dynamic_map(), "product": x.astype(np.float64) @ w.T.astype(np.float64)}
    for name, block in [("row", k), ("block", 64)]:
        codes, scales, values = int8(w, block)
        out |= {f"int8.{name}.codes": codes.astype(np.int64), f"int8.{name}.scales": scales}
        out[f"int8.{name}.product"] = x.astype(np.float64) @ values.T.astype(np.float64)
    packed, absmax, values = nf4(w)
    out |= {"nf4.packed": packed.astype(np.int64), "nf4.absmax": absmax, "nf4.values": values}
    out["nf4.product"] = x.astype(np.float64) @ values.T.astype(np.float64)
    # More maxima than one block of them.
    maxima = np.abs(rng.standard_normal(700)).astype(F) + F(2)
    codes, most, offset, values = nest(maxima)
    out |= {"nest.maxima": maxima, "nest.codes": codes.astype(np.int64), "nest.absmax": most,
            "nest.offset": np.array([offset]), "nest.values": values}
    save("quant", {key: torch.from_numpy(np.ascontiguousarray(value)) for key, value in out.items()})


if __name__ == "__main__":
    main()
