"""Times diffusers' Wan transformer on an NVIDIA card in bf16, on random weights of full size made on the card.

    cuda.py [--runs 5]

One JSON object a line: the card and its own bf16 matrix product, then T2V-1.3B over 32,760 tokens (21 latent frames of
480x832) and four blocks of the 14B width over 17,160 (11 frames). `wan bench step` at the same lengths, on the same card
in the same sitting, is what they compare to.
"""
import argparse
import json
import statistics
import time

import torch
from diffusers import WanTransformer3DModel

SIZES = {
    "t2v-1.3b": {"num_attention_heads": 12, "num_layers": 30, "ffn_dim": 8960},
    "t2v-14b": {"num_attention_heads": 40, "num_layers": 40, "ffn_dim": 13824},
}


def seconds(call, runs):
    """Median of `runs` calls after two that warm up, each waited for."""
    def once():
        torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        return time.perf_counter() - start

    once(), once()
    return statistics.median(once() for _ in range(runs))


def peak(runs):
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * 8192**3 / seconds(lambda: a @ b, 4 * runs) / 1e12


def forward(preset, blocks, frames, runs):
    torch.manual_seed(1)
    with torch.device("cuda"):
        model = WanTransformer3DModel(**SIZES[preset] | {"num_layers": blocks}).to(torch.bfloat16).eval()
    x = torch.randn(1, 16, frames, 60, 104, device="cuda", dtype=torch.bfloat16)
    text = torch.randn(1, 512, 4096, device="cuda", dtype=torch.bfloat16)
    t = torch.tensor([500], device="cuda")
    torch.cuda.reset_peak_memory_stats()
    with torch.inference_mode():
        took = seconds(lambda: model(x, t, text, return_dict=False), runs)
    return {
        "model": preset, "blocks": blocks, "tokens": frames * 30 * 52, "dtype": "bf16", "median_step_seconds": took,
        "peak_memory_bytes": torch.cuda.max_memory_allocated()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    print(json.dumps({
        "device": torch.cuda.get_device_name(), "torch": torch.__version__, "matmul_tflop_per_second": peak(runs)}))
    for preset, blocks, frames in [("t2v-1.3b", 30, 21), ("t2v-14b", 4, 11)]:
        print(json.dumps(forward(preset, blocks, frames, runs)), flush=True)


if __name__ == "__main__":
    main()
