"""PyTorch's time for attention, beside `wan bench kernels --only attention`. torch 2.15, 2 threads, f32."""

import json
import time

import torch
import torch.nn.functional as F

HEADS, LENGTH, WIDTH, RUNS = 12, 2048, 128, 10


@torch.inference_mode()
def main():
    torch.set_num_threads(2)
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 1, HEADS, LENGTH, WIDTH)
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        F.scaled_dot_product_attention(q, k, v)
        seconds.append(time.perf_counter() - start)
    flops = 4 * HEADS * LENGTH * LENGTH * WIDTH
    best, median = min(seconds), sorted(seconds)[RUNS // 2]
    print(json.dumps({"what": "attention", "peer": "torch", "shape": [HEADS, LENGTH, WIDTH], "median_seconds": median,
                      "best_seconds": best, "gflop_per_second": flops / median / 1e9}))


main()
