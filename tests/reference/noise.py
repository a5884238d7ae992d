"""Values of torch.randn from seeded CPU generators, by torch 2.15.0's AVX2 kernels.

Other kernels (the default one, AVX-512) compute the same numbers up to some ulps of logarithm, sine and cosine.
"""
import os

os.environ["ATEN_CPU_CAPABILITY"] = "avx2"
import torch

from common import save

SEEDS = [0, 1, 42, 2**31, 2**32 + 5, 2**63 - 1, 0xDEADBEEFCAFEBABE, 2**64 - 5]
LENGTHS = [1, 7, 15, 16, 17, 31, 100, 4097]
LATENT = (16, 21, 60, 104)
STRIDE = 1009


def draw(seed, *shape):
    # The seed is an unsigned 64-bit word; torch spells its upper half as negative numbers.
    signed = seed - 2**64 if seed >= 2**63 else seed
    return torch.randn(*shape, generator=torch.Generator("cpu").manual_seed(signed))


def main():
    torch.set_num_threads(1)
    assert torch.backends.cpu.get_cpu_capability() == "AVX2"
    tensors = {}
    for seed in SEEDS:
        for length in LENGTHS:
            tensors[f"{seed}.{length}"] = draw(seed, length)
        latent = draw(seed, *LATENT).flatten()
        assert torch.equal(latent, draw(seed, latent.numel())), "values depend on the shape"
        tensors[f"{seed}.latent"] = latent[::STRIDE]
        tensors[f"{seed}.latent_end"] = latent[-32:]
    save("noise", tensors)


if __name__ == "__main__":
    main()
