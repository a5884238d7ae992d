"""Networks, pipelines and golden files of tasks.py: what its cases share.

torch 2.15.0, diffusers 0.42.1, transformers 5.23.0, Pillow 13.0.0.
"""
import json

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel
from PIL import Image
from transformers import AutoTokenizer, CLIPImageProcessorPil, UMT5EncoderModel

import clip
import dit
from common import GOLDENS, randomize, save
from pipeline import NEGATIVE, PROMPT, bf16_values
from tasks_official import guided

torch.set_num_threads(1)
TINY, ROOT = GOLDENS / "tiny" / "diffusers", GOLDENS / "tiny_tasks"
FRAMES, CLIP_SIZE = 9, 28
HEIGHT, WIDTH, AREA = 32, 48, 36 * 48
# Of Wan 2.2's VAE.
MEAN = [-0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
        0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
        -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
        -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667]
STD = [0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
       0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
       0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
       0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744]


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
    """Writes the golden file; prints how far its tensors spread."""
    for name, out in runs.items():
        print(f"{case} {name}:", ", ".join(f"{k} std {v.std():.3f}" for k, v in out.items()))
        assert 0.3 < out["latents"].std() < 10
    texts = dict(zip(("height", "width", "area"), size)) | {"frames": FRAMES}
    texts |= {f"{name}.{k}": v for name, values in settings.items() for k, v in values.items()}
    # Bytes are written as f32, which holds them all.
    tensors = {k: v.float() for k, v in inputs.items()}
    tensors |= {f"{name}.{k}": v for name, out in runs.items() for k, v in out.items()}
    texts = {"prompt": PROMPT, "negative": NEGATIVE} | {k: str(v) for k, v in texts.items()}
    save(case, tensors, texts)


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
