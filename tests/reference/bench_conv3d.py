"""PyTorch's time for the convolutions of `target/release/conv3d`. torch 2.15, f32.

    bench_conv3d.py [THREADS [RUNS]]
"""

import json
import sys
import time

import torch
import torch.nn.functional as F

# (what, channels in, channels out, frames, height and width, kernel, stride, padding of height and width)
LAYERS = [
    ("96 channels, 4x60x104, 3x3x3", 96, 96, (6, 60, 104), (3, 3, 3), (1, 1, 1), 1),
    ("192 channels, 4x60x104, 3x3x3", 192, 192, (6, 60, 104), (3, 3, 3), (1, 1, 1), 1),
    ("384 channels, 1x60x104, 3x3x3", 384, 384, (3, 60, 104), (3, 3, 3), (1, 1, 1), 1),
    ("384 to 768 channels, 1x60x104, 3x1x1", 384, 768, (3, 60, 104), (3, 1, 1), (1, 1, 1), 0),
    ("96 channels, 4x120x208, 1x3x3 in steps of 2", 96, 96, (4, 121, 209), (1, 3, 3), (1, 2, 2), 0),
]


@torch.inference_mode()
def main():
    threads, runs = [int(a) for a in (sys.argv[1:] + ["2", "10"][len(sys.argv) - 1 :])]
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    for what, inputs, outputs, size, kernel, stride, pad in LAYERS:
        x, bias = torch.randn(1, inputs, *size), torch.randn(outputs)
        weight = torch.randn(outputs, inputs, *kernel)
        # The frames before and a margin on one side are part of x already, which is in PyTorch's favour.
        def run():
            return F.conv3d(x, weight, bias, stride, (0, pad, pad))

        gflop = 2e-9 * run().numel() * inputs * kernel[0] * kernel[1] * kernel[2]
        best, processor = float("inf"), time.process_time()
        for _ in range(runs):
            start = time.perf_counter()
            run()
            best = min(best, time.perf_counter() - start)
        processor = (time.process_time() - processor) / runs
        row = {"what": what, "peer": "torch", "threads": threads, "best_seconds": best}
        print(json.dumps(row | {"direct_gflop_per_second": gflop / best, "processor_seconds": processor}), flush=True)


main()
