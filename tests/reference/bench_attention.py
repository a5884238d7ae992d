"""PyTorch's time for attention, beside `wan bench kernels --only attention`. torch 2.15, 2 threads, f32."""

import json
import time

import torch
import torch.nn.functional as F

HEADS, WIDTH, RUNS = 12, 128, 10
LENGTHS = 512, 2048, 3120


def measure(length):
    q, k, v = torch.randn(3, 1, HEADS, length, WIDTH)
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        F.scaled_dot_product_attention(q, k, v)
        seconds.append(time.perf_counter() - start)
    median = sorted(seconds)[RUNS // 2]
    flops = 4 * HEADS * length * length * WIDTH
    print(json.dumps({"what": "attention", "peer": "torch", "shape": f"h{HEADS} l{length}x{length} d{WIDTH}",
                      "median_seconds": median, "gflop_per_second": flops / median / 1e9}), flush=True)


@torch.inference_mode()
def main():
    torch.set_num_threads(2)
    torch.manual_seed(0)
    for length in LENGTHS:
        measure(length)


main()
