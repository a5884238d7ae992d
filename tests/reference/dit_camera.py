"""Goldens of the transformer with a camera: plain tensor arithmetic, checked against diffusers where both can.

tests/goldens/tiny_dit/lingbot    the transformer with a camera under the authors' names
"""
import math

import torch
import torch.nn.functional as F

from common import GOLDENS, randomize, save
from dit import native_folder, pad, sinusoid, tiny, weights

HEADS, HEAD_DIM, CHANNELS, OUT, CONTROL = 2, 16, 6, 4, 256
DIM = HEADS * HEAD_DIM


def linear(w, name, x):
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def norm(x):
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


def rms(w, name, x):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * w[f"{name}.weight"]


def angles(grid):
    """[l, head_dim / 2] in f64: pairs for frames, then rows, then columns."""
    side = 2 * (HEAD_DIM // 6)
    widths = [HEAD_DIM - 2 * side, side, side]
    places = torch.cartesian_prod(*[torch.arange(n, dtype=torch.float64) for n in grid])
    rates = [torch.pow(10000.0, -torch.arange(0, n, 2, dtype=torch.float64) / n) for n in widths]
    return torch.cat([places[:, i:i + 1] * rate for i, rate in enumerate(rates)], 1)


def rotate(x, angle):
    """x: [l, heads, head_dim]."""
    pairs = torch.view_as_complex(x.double().reshape(*x.shape[:-1], -1, 2))
    turned = pairs * torch.polar(torch.ones_like(angle), angle)[:, None]
    return torch.view_as_real(turned).flatten(-2).float()


def attention(w, name, x, context, angle=None):
    split = lambda t: t.reshape(-1, HEADS, HEAD_DIM)
    q, k = (split(rms(w, f"{name}.norm_{p}", linear(w, f"{name}.{p}", s))) for p, s in [("q", x), ("k", context)])
    if angle is not None:
        q, k = rotate(q, angle), rotate(k, angle)
    v = split(linear(w, f"{name}.v", context))
    scores = torch.einsum("lhd,khd->hlk", q, k) / HEAD_DIM**0.5
    return linear(w, f"{name}.o", torch.einsum("hlk,khd->lhd", scores.softmax(-1), v).reshape(-1, DIM))


def forward(w, layers, x, t, text, control=None):
    frames, rows, columns = x.shape[2:]
    grid = (frames, rows // 2, columns // 2)
    angle = angles(grid)
    patches = x[0].reshape(-1, frames, grid[1], 2, grid[2], 2).permute(1, 2, 4, 0, 3, 5).reshape(math.prod(grid), -1)
    tokens = patches @ w["patch_embedding.weight"].reshape(DIM, -1).T + w["patch_embedding.bias"]
    e = linear(w, "time_embedding.linear2", F.silu(linear(w, "time_embedding.linear1", sinusoid(t))))
    e0 = linear(w, "time_projection", F.silu(e)).reshape(6, DIM)
    hidden = F.gelu(linear(w, "text_embedding.linear1", pad(text)[0]), approximate="tanh")
    context = linear(w, "text_embedding.linear2", hidden)
    if control is not None:
        c = linear(w, "camera.control", control[0])
        camera = c + linear(w, "camera.linear2", F.silu(linear(w, "camera.linear1", c)))
    for i in range(layers):
        b = f"blocks.{i}"
        m = w[f"{b}.modulation"][0] + e0
        a = norm(tokens) * (1 + m[1]) + m[0]
        tokens = tokens + attention(w, f"{b}.self_attn", a, a, angle) * m[2]
        if control is not None:
            injected = linear(w, f"{b}.camera.linear2", F.silu(linear(w, f"{b}.camera.linear1", camera))) + camera
            tokens = (1 + linear(w, f"{b}.camera.scale", injected)) * tokens + linear(w, f"{b}.camera.shift", injected)
        affine = norm(tokens) * w[f"{b}.norm3.weight"] + w[f"{b}.norm3.bias"]
        tokens = tokens + attention(w, f"{b}.cross_attn", affine, context)
        a = norm(tokens) * (1 + m[4]) + m[3]
        hidden = F.gelu(linear(w, f"{b}.ffn.linear1", a), approximate="tanh")
        tokens = tokens + linear(w, f"{b}.ffn.linear2", hidden) * m[5]
    shift, scale = w["head.modulation"][0] + e
    out = linear(w, "head.head", norm(tokens) * (1 + scale) + shift)
    return out.reshape(*grid, 2, 2, -1).permute(5, 0, 1, 3, 2, 4).reshape(1, -1, frames, rows, columns)


def camera_layers(layers, seed, control=CONTROL):
    """Linear layers of the camera, in a module so that they are scaled like all others."""
    names = {"camera/control": (control, DIM), "camera/linear1": (DIM, DIM), "camera/linear2": (DIM, DIM)}
    for i in range(layers):
        names |= {f"blocks/{i}/camera/{part}": (DIM, DIM) for part in ["linear1", "linear2", "scale", "shift"]}
    module = torch.nn.ModuleDict({name: torch.nn.Linear(*size) for name, size in names.items()})
    return {k.replace("/", "."): v for k, v in randomize(module, seed, gain=0.5).state_dict().items()}


def main():
    layers = 2
    model = tiny(HEADS, HEAD_DIM, 48, layers, CHANNELS, 24, seed=61, out_channels=OUT)
    w = weights(model)
    g = torch.Generator("cpu").manual_seed(62)
    x, text = torch.randn(1, CHANNELS, 3, 4, 6, generator=g), torch.randn(1, 11, 24, generator=g)
    t = torch.tensor([947.0])
    with torch.no_grad():
        ours = forward(w, layers, x, t, text)
        theirs = model(x, t, pad(text), return_dict=False)[0]
    assert (ours - theirs).norm() / theirs.norm() < 1e-5, (ours - theirs).norm() / theirs.norm()

    w |= camera_layers(layers, 63)
    control = torch.randn(1, 3 * 2 * 3, CONTROL, generator=g)
    with torch.no_grad():
        y = forward(w, layers, x, t, text, control)
    print("out std", y.std().item(), "difference the camera makes", (y - ours).norm() / y.norm())
    case = {"x": x, "text": text, "t": t, "control": control, "y": y, "without": theirs}
    save("dit_camera", {f"case.{k}": v for k, v in case.items()} | {f"w.{k}": v for k, v in w.items()})
    native_folder(GOLDENS / "tiny_dit" / "lingbot", w, CHANNELS, layers)


if __name__ == "__main__":
    main()
