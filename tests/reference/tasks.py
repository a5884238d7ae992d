"""Tiny checkpoints of every task but text to video alone, and whole runs of them by diffusers and by the official
rules.

tests/goldens/tiny_tasks/<case>           parts of a diffusers folder; text encoder, tokenizer and, but for ti2v, the
                                          VAE are those of tiny/diffusers, the image encoder of flf2v that of i2v_clip
tests/goldens/tiny_tasks/lingbot          two experts as the authors publish them
tests/goldens/tiny_tasks/lingbot_camera   a path of eleven poses, nine of which make whole latent frames
tests/goldens/tasks_<case>.safetensors    runs, named below

Runs by case (diffusers: UniPC on diffusers' grid; official: Euler on `S(1 - i/N)`, timesteps not rounded):

    i2v_clip    diffusers, official
    flf2v       diffusers
    i2v_a14b    diffusers, last (with a last image), official
    t2v_a14b    diffusers
    ti2v        text and image (diffusers), official (with an image)
    lingbot     camera, still (without a camera); both official

Keys: `noise`; `picture` and `last_picture`, [h, w, 3] of 0..255; and for each run `<run>.latents`, `<run>.step_NNN`
(latents after a step, which diffusers' ti2v has not put the image into), where there is an image `<run>.condition`
(what is put beside or, in ti2v, into the latents), where there is CLIP `<run>.clip`, where there is a camera
`<run>.control` (one row for each token), and `image.frames` of ti2v, from 0 to 1.

Metadata: `prompt`, `negative`, `width`, `height`, `frames`, `area` (which gives the official runs with an image the
same size), and for each run `<run>.steps`, `<run>.shift`, `<run>.guidance` and for experts `<run>.guidance_high` and
`<run>.boundary`; `guidance` is the low-noise expert's or the only one.
"""
import shutil

import numpy as np
import torch
from diffusers import WanImageToVideoPipeline, WanPipeline
from PIL import Image
from scipy.spatial.transform import Rotation

import camera
import dit
import dit_camera
from images import picture, planes
from tasks_official import (best_size, clip_states, condition, covering, encode, euler, guided, size_of_area,
                            stretched)
from tasks_parts import (AREA, FRAMES, HEIGHT, MEAN, ROOT, STD, WIDTH, Parts, exact_time, finish, matters, network,
                         noise, numbers, run, steerable, store, vae22, with_clip)

CLIP_TOKENS = 5
TI2V_HEIGHT, TI2V_WIDTH, TI2V_AREA = 32, 64, 32 * 64
FIRST, LAST = picture(81, 45, 61), picture(82, 58, 70)
GREY = torch.full_like(FIRST, 127)


def i2v_clip(parts):
    model = with_clip(101)
    pipe = parts.pipe(WanImageToVideoPipeline, 5.0, model, image_encoder=parts.encoder,
                      image_processor=parts.processor)
    store(pipe, "i2v_clip", "transformer", "scheduler")
    x, steps, scale = noise(102, 16, (4, 6)), 4, 5.0
    ours = run(pipe, x, steps, image=FIRST, guidance_scale=scale)
    lanczos = np.array(Image.fromarray(FIRST.numpy()).resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS))
    with torch.no_grad():
        again = condition(parts.vae, FRAMES, planes(torch.from_numpy(lanczos)))
    assert torch.allclose(again, ours["condition"], atol=1e-5)

    exact_time(model)

    def official(image, states):
        flow = lambda x, t: parts.flow(model, x, t, scale, image, states)
        return euler(flow, x, steps, 3.0) | {"condition": image, "clip": states}

    assert size_of_area(FIRST, AREA) == (HEIGHT, WIDTH)
    with torch.no_grad():
        image = condition(parts.vae, FRAMES, stretched(FIRST, HEIGHT, WIDTH))
        states = clip_states(parts.encoder, FIRST)
    authors = official(image, states)
    settings = {"diffusers": numbers(steps, 5.0, scale), "official": numbers(steps, 3.0, scale)}
    finish("tasks_i2v_clip", {"diffusers": ours, "official": authors}, settings, noise=x, picture=FIRST)
    matters("the image", ours, run(pipe, x, steps, image=GREY, guidance_scale=scale))
    matters("CLIP", authors, official(image, torch.zeros_like(states)))
    matters("bicubic filtering", authors, official(ours["condition"], states), 0.01)
    matters("the squeezed CLIP picture", authors, official(image, ours["clip"]), 0.01)


def flf2v(parts):
    model = with_clip(111, pos_embed_seq_len=2 * CLIP_TOKENS)
    pipe = parts.pipe(WanImageToVideoPipeline, 16.0, model, image_encoder=parts.encoder,
                      image_processor=parts.processor)
    store(pipe, "flf2v", "transformer", "scheduler")
    x, steps, options = noise(112, 16, (4, 6)), 5, {"image": FIRST, "last_image": LAST, "guidance_scale": 5.0}
    ours = run(pipe, x, steps, **options)
    finish("tasks_flf2v", {"diffusers": ours}, {"diffusers": numbers(steps, 16.0, 5.0)}, noise=x, picture=FIRST,
           last_picture=LAST)
    matters("the image", ours, run(pipe, x, steps, **options | {"image": GREY}))
    matters("the last image", ours, run(pipe, x, steps, **options | {"last_image": GREY}))
    matters("the images' order", ours, run(pipe, x, steps, **options | {"image": LAST, "last_image": FIRST}))


def experts_matter(pipe, whole, x, steps, high, low, boundary, **image):
    """One expert for all steps, the high one's scale for all."""
    both = {"guidance_scale": high, "guidance_scale_2": low} | image
    matters("the low guidance", whole, run(pipe, x, steps, **both | {"guidance_scale_2": high}))
    for name, other in [("low", 0.0), ("high", 1.1)]:
        pipe.register_to_config(boundary_ratio=other)
        matters(f"the {name}-noise expert", whole, run(pipe, x, steps, **both))
    pipe.register_to_config(boundary_ratio=boundary)


def i2v_a14b(parts):
    dits = network(121, 36, 16), network(122, 36, 16)
    pipe = parts.pipe(WanImageToVideoPipeline, 5.0, *dits, boundary_ratio=0.9)
    store(pipe, "i2v_a14b", "transformer", "transformer_2", "scheduler")
    x, steps, high, low = noise(123, 16, (4, 6)), 6, 4.0, 2.5
    options = {"image": FIRST, "guidance_scale": high, "guidance_scale_2": low}
    ours, last = run(pipe, x, steps, **options), run(pipe, x, steps, **options, last_image=LAST)

    with torch.no_grad():
        image = condition(parts.vae, FRAMES, stretched(FIRST, HEIGHT, WIDTH))

    def flow(x, t):
        model, scale = (dits[0], high) if t >= 900 else (dits[1], low)
        return parts.flow(model, x, t, scale, image)

    grey = run(pipe, x, steps, **options | {"image": GREY})
    matters("the image", ours, grey)
    matters("the last image", last, ours)
    experts_matter(pipe, ours, x, steps, high, low, 0.9, image=FIRST)
    exact_time(*dits)
    runs = {"diffusers": ours, "last": last, "official": euler(flow, x, steps, 5.0) | {"condition": image}}
    finish("tasks_i2v_a14b", runs, {name: numbers(steps, 5.0, low, high, 0.9) for name in runs}, noise=x, picture=FIRST,
           last_picture=LAST)


def t2v_a14b(parts):
    dits = network(131, 16, 16), network(132, 16, 16)
    pipe = parts.pipe(WanPipeline, 12.0, *dits, boundary_ratio=0.875)
    store(pipe, "t2v_a14b", "transformer", "transformer_2", "scheduler")
    x, steps, high, low = noise(133, 16, (4, 6)), 6, 4.0, 3.0
    ours = run(pipe, x, steps, guidance_scale=high, guidance_scale_2=low)
    finish("tasks_t2v_a14b", {"diffusers": ours}, {"diffusers": numbers(steps, 12.0, low, high, 0.875)}, noise=x)
    experts_matter(pipe, ours, x, steps, high, low, 0.875)


def ti2v(parts):
    model, vae = network(141, 48, 48), vae22()
    pipe = parts.pipe(WanPipeline, 5.0, model, vae=vae, expand_timesteps=True)
    store(pipe, "ti2v", "transformer", "scheduler", "vae")
    x, steps, scale = noise(142, 48, (TI2V_HEIGHT // 16, TI2V_WIDTH // 16)), 4, 5.0
    text = run(pipe, x, steps, guidance_scale=scale)
    pipe = parts.pipe(WanImageToVideoPipeline, 5.0, model, vae=vae, expand_timesteps=True)
    image = run(pipe, x, steps, guidance_scale=scale, image=FIRST)
    with torch.no_grad():
        decoded = vae.decode(image["latents"] / (1 / torch.tensor(STD)).view(1, -1, 1, 1, 1)
                             + torch.tensor(MEAN).view(1, -1, 1, 1, 1)).sample
    image["frames"] = (decoded[0].permute(1, 2, 3, 0) * 0.5 + 0.5).clamp(0, 1)
    saturated = ((image["frames"] == 0) | (image["frames"] == 1)).float().mean().item()
    print("frames mean", image["frames"].mean().item(), "saturated", saturated)
    assert saturated < 0.05
    grey = run(pipe, x, steps, guidance_scale=scale, image=GREY)

    exact_time(model)
    assert best_size(FIRST, TI2V_AREA) == (TI2V_HEIGHT, TI2V_WIDTH)
    given = torch.zeros(1, 1, *x.shape[2:])
    given[:, :, 0] = 1
    times = lambda t: ((1 - given[0, 0, :, ::2, ::2]).double() * t).flatten()

    def official(first):
        overlay = lambda x: given * first + (1 - given) * x
        return euler(lambda x, t: parts.flow(model, x, times(t), scale), x, steps, 5.0, overlay) | {"condition": first}

    with torch.no_grad():
        first = encode(vae, covering(FIRST, TI2V_HEIGHT, TI2V_WIDTH)[None, :, None])
    authors = official(first)
    runs = {"text": text, "image": image, "official": authors}
    finish("tasks_ti2v", runs, {name: numbers(steps, 5.0, scale) for name in runs}, (TI2V_HEIGHT, TI2V_WIDTH, TI2V_AREA),
           noise=x, picture=FIRST)
    matters("the image", image, grey)
    matters("the image at all", image, text)
    matters("cutting the picture to proportion", authors, official(image["condition"]), 0.01)
    later = lambda out: {"latents": out["latents"][:, :, 1:]}
    matters("the image, in later frames", later(image), later(grey))


def camera_path(folder):
    """Eleven poses from a start that is not the origin, turning about two axes."""
    folder.mkdir(parents=True)
    n = np.arange(11)
    poses = np.tile(np.eye(4), (11, 1, 1))
    turns = np.stack([20 + 3.0 * n, 5 - 1.5 * n + 0.1 * n**2], 1)
    poses[:, :3, :3] = Rotation.from_euler("yx", turns, degrees=True).as_matrix()
    poses[:, :3, 3] = np.stack([0.3 + 0.02 * n**2, -0.1 + 0.05 * n, 1 + 0.25 * n - 0.01 * n**2], 1)
    intrinsics = np.array([503.0, 502.5, 415.78, 239.78]) + np.outer(n, [2.0, 2.0, 0.0, 0.0])
    np.save(folder / "poses.npy", poses.astype(np.float32))
    np.save(folder / "intrinsics.npy", intrinsics.astype(np.float32))
    return np.load(folder / "poses.npy"), np.load(folder / "intrinsics.npy")


def expert(name, seed):
    w = dit.weights(steerable(dit.tiny(2, 16, 48, 2, 36, 32, seed, out_channels=16)))
    w |= {k: v.bfloat16().float() for k, v in dit_camera.camera_layers(2, seed + 1, 1536).items()}
    dit.native_folder(ROOT / "lingbot" / name, w, in_dim=36, layers=2, out_dim=16)
    return w


def lingbot(parts):
    high_expert, low_expert = expert("high_noise_model", 151), expert("low_noise_model", 153)
    poses, intrinsics = camera_path(ROOT / "lingbot_camera")
    moves = camera.steps(camera.resample(poses[:FRAMES], 3), np.float64)
    packed = camera.pack(camera.rays(moves, intrinsics, HEIGHT, WIDTH))
    control = camera.tokens(packed)[None].float()
    x, steps, high, low = noise(155, 16, (4, 6)), 6, 5.0, 3.5
    with torch.no_grad():
        image = condition(parts.vae, FRAMES, stretched(FIRST, HEIGHT, WIDTH))
        grey = condition(parts.vae, FRAMES, stretched(GREY, HEIGHT, WIDTH))

    def official(control, image=image, boundary=947, low=low):
        def flow(x, t):
            w, scale = (high_expert, high) if t >= boundary else (low_expert, low)
            x, time = torch.cat([x, image], 1), torch.tensor([t], dtype=torch.float64)
            return guided(lambda text: dit_camera.forward(w, 2, x, time, text, control), parts.texts, scale)

        seen = {"condition": image} | ({} if control is None else {"control": control})
        return euler(flow, x, steps, 10.0) | seen

    runs = {"camera": official(control), "still": official(None)}
    finish("tasks_lingbot", runs, {name: numbers(steps, 10.0, low, high, 0.947) for name in runs}, noise=x, picture=FIRST)
    whole = runs["camera"]
    matters("the camera", whole, runs["still"])
    matters("the camera's motion", whole, official(camera_at_rest(intrinsics)))
    matters("the image", whole, official(control, grey))
    matters("the low guidance", whole, official(control, low=high))
    matters("the low-noise expert", whole, official(control, boundary=0))
    matters("the high-noise expert", whole, official(control, boundary=2000, low=high))


def camera_at_rest(intrinsics):
    rest = np.tile(np.eye(4), (3, 1, 1))
    return camera.tokens(camera.pack(camera.rays(rest, intrinsics, HEIGHT, WIDTH)))[None].float()


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    parts = Parts()
    for case in (i2v_clip, flf2v, i2v_a14b, t2v_a14b, ti2v, lingbot):
        case(parts)


if __name__ == "__main__":
    main()
