"""PyTorch's time for the fused elementwise operations, beside `wan bench kernels`. torch 2.15, 2 threads, f32."""

import json
import time

import torch
import torch.nn.functional as F

TOKENS, WIDTH, HEADS = 4096, 1536, 12
HIDDEN = (1, 1024, 8960)
RUNS = 20


def median(operation):
    operation()
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        operation()
        seconds.append(time.perf_counter() - start)
    return sorted(seconds)[RUNS // 2]


def row(what, operation):
    print(json.dumps({"what": what, "peer": "torch", "median_seconds": median(operation)}), flush=True)


def rope(x, table):
    pairs = torch.view_as_complex(x.view(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * table).flatten(-2)


@torch.inference_mode()
def main():
    torch.set_num_threads(2)
    torch.manual_seed(0)
    x, y = torch.randn(1, TOKENS, WIDTH), torch.randn(1, TOKENS, WIDTH)
    scale, shift, gate = torch.randn(3, 1, 1, WIDTH)
    weight = torch.randn(WIDTH)
    angle = torch.randn(TOKENS, 1, WIDTH // HEADS // 2)
    table = torch.polar(torch.ones_like(angle), angle)
    row("layer_norm alone", lambda: F.layer_norm(x, (WIDTH,), eps=1e-6))
    row("norm_modulate", lambda: F.layer_norm(x, (WIDTH,), eps=1e-6) * (1 + scale) + shift)
    row("rms_norm", lambda: F.rms_norm(x, (WIDTH,), weight, 1e-6))

    def norm_rope():
        normed = F.rms_norm(x, (WIDTH,), weight, 1e-6).view(1, TOKENS, HEADS, -1)
        return rope(normed, table).transpose(1, 2).contiguous()

    row("rms_norm_rope", norm_rope)
    row("gate_residual", lambda: x + y * gate)
    hidden, bias = torch.randn(HIDDEN), torch.randn(HIDDEN[2])
    row("gelu_bias", lambda: F.gelu(hidden + bias, approximate="tanh"))
    row("silu", lambda: F.silu(hidden))
    latents, cond, uncond = torch.randn(3, 1, 16, 21, 60, 104)
    row("guidance_step", lambda: latents - 0.02 * (uncond + 5.0 * (cond - uncond)))


main()
