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

Metadata: `prompt`, `negative`, `width`, `height`, `frames`, `area` (which gives the official runs with an image the same
size), and for each run `<run>.steps`, `<run>.shift`, `<run>.guidance` and for experts `<run>.guidance_high` and
`<run>.boundary`; `guidance` is the low-noise expert's or the only one.
"""
import json
import shutil

import numpy as np
import torch
from diffusers import (AutoencoderKLWan, UniPCMultistepScheduler, WanImageToVideoPipeline, WanPipeline,
                       WanTransformer3DModel)
from PIL import Image
from scipy.spatial.transform import Rotation
from transformers import AutoTokenizer, CLIPImageProcessorPil, UMT5EncoderModel

import camera
import clip
import dit
import dit_camera
from common import GOLDENS, randomize, save
from images import picture, planes
from pipeline import NEGATIVE, PROMPT, bf16_values
from tasks_official import (best_size, clip_states, condition, covering, encode, euler, guided, size_of_area,
                            stretched)

torch.set_num_threads(1)
TINY, ROOT = GOLDENS / "tiny" / "diffusers", GOLDENS / "tiny_tasks"
FRAMES, CLIP_SIZE, CLIP_TOKENS = 9, 28, 5
HEIGHT, WIDTH, AREA = 32, 48, 36 * 48
TI2V_HEIGHT, TI2V_WIDTH, TI2V_AREA = 32, 64, 32 * 64
# Of Wan 2.2's VAE.
MEAN = [-0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
        0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
        -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
        -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667]
STD = [0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
       0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
       0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
       0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744]

FIRST, LAST = picture(81, 45, 61), picture(82, 58, 70)
GREY = torch.full_like(FIRST, 127)


def network(seed, channels, out_channels, **image):
    model = randomize(WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=16, in_channels=channels,
        out_channels=out_channels, text_dim=32, freq_dim=64, ffn_dim=64, num_layers=2, **image), seed)
    positions = model.condition_embedder.image_embedder and model.condition_embedder.image_embedder.pos_embed
    if positions is not None:
        positions.data.normal_(generator=torch.Generator("cpu").manual_seed(seed))
    return steerable(model)


def steerable(model):
    """A network that heeds its prompt and its picture more than random weights do."""
    with torch.no_grad():
        model.patch_embedding.weight[:, 16:].mul_(2 if model.config.in_channels == 36 else 1)
        for block in model.blocks:
            block.attn2.norm_q.weight.mul_(3)
            block.attn2.to_out[0].weight.mul_(2)
    return bf16_values(model)


def with_clip(seed, **positions):
    return network(seed, 36, 16, image_dim=32, added_kv_proj_dim=32, **positions)


def exact_time(*models):
    """Sinusoids of the timestep in f64, as the official code has them."""
    for model in models:
        model.condition_embedder.timesteps_proj.forward = lambda t: dit.sinusoid(t, 32)


def vae22():
    vae = randomize(AutoencoderKLWan(
        base_dim=4, decoder_base_dim=4, z_dim=48, dim_mult=[1, 2, 4, 4], num_res_blocks=1,
        temperal_downsample=[False, True, True], is_residual=True, patch_size=2, in_channels=12, out_channels=12,
        scale_factor_spatial=16, latents_mean=MEAN, latents_std=STD), 9)
    with torch.no_grad():
        vae.encoder.conv_out.weight.mul_(0.5)
        vae.decoder.conv_out.weight.mul_(0.5)
    return bf16_values(vae)


def scheduler(shift):
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000,
                                   flow_shift=shift)


def noise(seed, channels, columns):
    return torch.randn(1, channels, 3, *columns, generator=torch.Generator("cpu").manual_seed(seed))


def store(pipe, case, *parts):
    folder = ROOT / case
    folder.mkdir(parents=True, exist_ok=True)
    pipe.save_config(folder)
    index = folder / "model_index.json"
    index.write_text(index.read_text().replace("CLIPImageProcessorPil", "CLIPImageProcessor"))
    for part in parts:
        getattr(pipe, part).save_pretrained(folder / part)


def image_processor(folder):
    """As in the released folders, at another size."""
    folder.mkdir(parents=True)
    processor = CLIPImageProcessorPil()
    square = {"height": CLIP_SIZE, "width": CLIP_SIZE}
    (folder / "preprocessor_config.json").write_text(json.dumps({
        "crop_size": square, "do_center_crop": True, "do_convert_rgb": True, "do_normalize": True, "do_rescale": True,
        "do_resize": True, "image_mean": processor.image_mean, "image_processor_type": "CLIPImageProcessor",
        "image_std": processor.image_std, "resample": 3, "rescale_factor": 1 / 255,
        "size": {"shortest_edge": CLIP_SIZE}}, indent=2) + "\n")
    return CLIPImageProcessorPil.from_pretrained(folder)


def run(pipe, x, steps, **options):
    """Latents of a run of diffusers, and what it made of the pictures."""
    seen, states, prepare = {}, [], pipe.prepare_latents
    def watch(*args):
        out = prepare(*args)
        if isinstance(out, tuple):
            seen["condition"] = out[1]
        return out

    def keep(_, i, t, values):
        states.append(values["latents"].clone())
        return values

    size = {"height": x.shape[3] * pipe.vae_scale_factor_spatial, "width": x.shape[4] * pipe.vae_scale_factor_spatial}
    images = {k: Image.fromarray(options.pop(k).numpy()) for k in ("image", "last_image") if k in options}
    pipe.prepare_latents = watch
    with torch.no_grad():
        latents = pipe(prompt=PROMPT, negative_prompt=NEGATIVE, num_frames=FRAMES, num_inference_steps=steps,
                       latents=x.clone(), output_type="latent", callback_on_step_end=keep, **size, **images,
                       **options).frames
        if images and pipe.image_encoder:
            pictures = list(images.values())
            seen["clip"] = pipe.encode_image(pictures if len(pictures) > 1 else pictures[0])
    pipe.prepare_latents = prepare
    return {"latents": latents} | seen | {f"step_{i:03}": x for i, x in enumerate(states)}


def numbers(steps, shift, guidance, high=None, boundary=None):
    experts = {} if boundary is None else {"guidance_high": high, "boundary": boundary}
    return {"steps": steps, "shift": shift, "guidance": guidance} | experts


def finish(case, runs, settings, size=(HEIGHT, WIDTH, AREA), **inputs):
    for name, out in runs.items():
        print(f"{case} {name}:", ", ".join(f"{k} std {v.std():.3f}" for k, v in out.items()))
        assert 0.3 < out["latents"].std() < 10
    texts = dict(zip(("height", "width", "area"), size)) | {"frames": FRAMES}
    texts |= {f"{name}.{k}": v for name, values in settings.items() for k, v in values.items()}
    tensors = inputs | {f"{name}.{k}": v for name, out in runs.items() for k, v in out.items()}
    save(f"tasks_{case}", tensors, {"prompt": PROMPT, "negative": NEGATIVE} | {k: str(v) for k, v in texts.items()})


def matters(what, with_it, without, least=0.05):
    """Prints how much of the final latents something decides."""
    a, b = with_it["latents"], without["latents"]
    difference = ((a - b).norm() / a.norm()).item()
    print(f"  without {what}: {difference:.3f}")
    assert difference > least, what


class Parts:
    """What all cases share."""

    def __init__(self):
        self.tokenizer = AutoTokenizer.from_pretrained(TINY / "tokenizer")
        self.text = UMT5EncoderModel.from_pretrained(TINY / "text_encoder", dtype=torch.float32).eval()
        self.vae = AutoencoderKLWan.from_pretrained(TINY / "vae").eval()
        self.encoder = clip.encoder(91, width=32, heads=2, layers=3, mlp=48, image=CLIP_SIZE, patch=14)
        clip.diffusers_folder(self.encoder, ROOT / "i2v_clip" / "image_encoder")
        self.processor = image_processor(ROOT / "i2v_clip" / "image_processor")
        with torch.no_grad():
            self.texts = self.pipe(WanPipeline, 5.0, None).encode_prompt(
                PROMPT, NEGATIVE, True, max_sequence_length=512, device="cpu")

    def pipe(self, kind, shift, *dits, vae=None, **options):
        models = dict(zip(("transformer", "transformer_2"), dits))
        pipe = kind(tokenizer=self.tokenizer, text_encoder=self.text, vae=vae or self.vae,
                    scheduler=scheduler(shift), **models, **options)
        pipe.set_progress_bar_config(disable=True)
        return pipe

    def flow(self, model, x, t, scale, condition=None, states=None):
        """The guided flow; `t` is one number or one for each token."""
        x = x if condition is None else torch.cat([x, condition], 1)
        time = t[None] if isinstance(t, torch.Tensor) else torch.tensor([t], dtype=torch.float64)
        forward = lambda text: model(x, time, text, states, return_dict=False)[0]
        return guided(forward, self.texts, scale)


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
    runs = {"diffusers": ours, "official": authors}
    finish("i2v_clip", runs, {"diffusers": numbers(steps, 5.0, scale), "official": numbers(steps, 3.0, scale)},
           noise=x, picture=FIRST)
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
    finish("flf2v", {"diffusers": ours}, {"diffusers": numbers(steps, 16.0, 5.0)}, noise=x, picture=FIRST,
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
    finish("i2v_a14b", runs, {name: numbers(steps, 5.0, low, high, 0.9) for name in runs}, noise=x, picture=FIRST,
           last_picture=LAST)


def t2v_a14b(parts):
    dits = network(131, 16, 16), network(132, 16, 16)
    pipe = parts.pipe(WanPipeline, 12.0, *dits, boundary_ratio=0.875)
    store(pipe, "t2v_a14b", "transformer", "transformer_2", "scheduler")
    x, steps, high, low = noise(133, 16, (4, 6)), 6, 4.0, 3.0
    ours = run(pipe, x, steps, guidance_scale=high, guidance_scale_2=low)
    finish("t2v_a14b", {"diffusers": ours}, {"diffusers": numbers(steps, 12.0, low, high, 0.875)}, noise=x)
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
    def official(first, given=given):
        times = lambda t: ((1 - given[0, 0, :, ::2, ::2]) * t).double().flatten()
        overlay = lambda x: given * first + (1 - given) * x
        return euler(lambda x, t: parts.flow(model, x, times(t), scale), x, steps, 5.0, overlay) | {"condition": first}

    with torch.no_grad():
        first = encode(vae, covering(FIRST, TI2V_HEIGHT, TI2V_WIDTH)[None, :, None])
    authors = official(first)
    runs = {"text": text, "image": image, "official": authors}
    finish("ti2v", runs, {name: numbers(steps, 5.0, scale) for name in runs}, (TI2V_HEIGHT, TI2V_WIDTH, TI2V_AREA),
           noise=x, picture=FIRST)
    matters("the image", image, grey)
    matters("the image at all", image, text)
    matters("covering instead of stretching", authors, official(image["condition"]), 0.01)
    later = lambda out: {"latents": out["latents"][:, :, 1:]}
    matters("the image, in later frames", later(image), later(grey))
    return x, text


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
            return guided(lambda text: dit_camera.forward(w, 2, x, time, text[None], control), torch.cat(parts.texts), scale)
        seen = {"condition": image} | ({} if control is None else {"control": control})
        return euler(flow, x, steps, 10.0) | seen

    runs = {"camera": official(control), "still": official(None)}
    finish("lingbot", runs, {name: numbers(steps, 10.0, low, high, 0.947) for name in runs}, noise=x, picture=FIRST)
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
