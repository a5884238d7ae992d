"""A tiny text-to-video checkpoint in every layout, and what diffusers makes of it.

tests/goldens/tiny/diffusers      a diffusers folder
tests/goldens/tiny/official       the same weights as the official folder: shards with an index, .pth files
tests/goldens/tiny/pth           the transformer as a .pth file of its own
tests/goldens/pipeline.safetensors    noise, latents after each step, final latents and frames of runs
"""
import json
import shutil

import torch
from diffusers import (AutoencoderKLWan, DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler,
                       UniPCMultistepScheduler, WanPipeline, WanTransformer3DModel)
from safetensors.torch import save_file
from transformers import AutoTokenizer, UMT5Config, UMT5EncoderModel

from common import GOLDENS, randomize, save
from tokenizer import write_tokenizer

torch.set_num_threads(2)
ROOT = GOLDENS / "tiny"
PROMPT = "a red ball rolls to the left"
NEGATIVE = "blurry, 静态"

MEAN = [-0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508,
        0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921]
STD = [2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
       3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160]


def bf16_values(module):
    """Weights that bf16 holds exactly, so that f32 and bf16 files hold the same numbers."""
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(p.bfloat16().float())
    return module


def models(vocab):
    text = randomize(UMT5EncoderModel(UMT5Config(
        vocab_size=vocab, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4)), 1)
    dit = randomize(WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=16, in_channels=16, out_channels=16,
        text_dim=32, freq_dim=64, ffn_dim=64, num_layers=2), 2)
    vae = randomize(AutoencoderKLWan(
        base_dim=4, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=2, temperal_downsample=[False, True, True],
        latents_mean=MEAN, latents_std=STD), 3)
    with torch.no_grad():
        vae.decoder.conv_out.weight.mul_(0.3)
    return bf16_values(text), bf16_values(dit), bf16_values(vae)


DIT = [("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
       ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
       ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
       ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
       ("condition_embedder.time_proj", "time_projection.1"),
       (".attn1.to_out.0", ".self_attn.o"), (".attn2.to_out.0", ".cross_attn.o"),
       (".attn1.to_", ".self_attn."), (".attn2.to_", ".cross_attn."),
       (".attn1.", ".self_attn."), (".attn2.", ".cross_attn."),
       (".norm2.", ".norm3."), (".ffn.net.0.proj", ".ffn.0"), (".ffn.net.2", ".ffn.2"),
       (".scale_shift_table", ".modulation"), ("proj_out", "head.head")]
TEXT = [("shared", "token_embedding"), ("encoder.block.", "blocks."), ("encoder.final_layer_norm", "norm"),
        (".layer.0.layer_norm", ".norm1"), (".layer.1.layer_norm", ".norm2"),
        (".layer.0.SelfAttention.relative_attention_bias", ".pos_embedding.embedding"),
        (".layer.0.SelfAttention.", ".attn."), (".layer.1.DenseReluDense.wi_0", ".ffn.gate.0"),
        (".layer.1.DenseReluDense.wi_1", ".ffn.fc1"), (".layer.1.DenseReluDense.wo", ".ffn.fc2")]
BLOCK = [(".norm1.gamma", ".residual.0.gamma"), (".conv1.", ".residual.2."), (".norm2.gamma", ".residual.3.gamma"),
         (".conv2.", ".residual.6."), (".conv_shortcut.", ".shortcut.")]
MID = [(".mid_block.resnets.0", ".middle.0"), (".mid_block.attentions.0", ".middle.1"),
       (".mid_block.resnets.1", ".middle.2")]


def rename(key, table):
    for old, new in table:
        key = key.replace(old, new)
    return key


def vae_key(key):
    if key.startswith("quant_conv"):
        return key.replace("quant_conv", "conv1")
    if key.startswith("post_quant_conv"):
        return key.replace("post_quant_conv", "conv2")
    side, rest = key.split(".", 1)
    if rest.startswith("up_blocks."):
        _, i, kind, j, tail = rest.split(".", 4)
        flat = int(i) * 4 + (int(j) if kind == "resnets" else 3)
        rest = f"upsamples.{flat}.{tail}"
    rest = rest.replace("down_blocks.", "downsamples.")
    key = rename(f"{side}.{rest}", MID)
    if ".resample." not in key and "time_conv" not in key:
        key = rename(key, BLOCK)
    return rename(key, [(".conv_in.", ".conv1."), (".norm_out.", ".head.0."), (".conv_out.", ".head.2.")])


def official(text, dit, vae, tokenizer_folder):
    out = ROOT / "official"
    out.mkdir(parents=True)
    state = {"head.modulation" if k == "scale_shift_table" else rename(k, DIT): v.contiguous()
             for k, v in dit.state_dict().items()}
    names = sorted(state)
    shards = [names[:len(names) // 2], names[len(names) // 2:]]
    index = {}
    for n, keys in enumerate(shards, 1):
        file = f"diffusion_pytorch_model-{n:05}-of-00002.safetensors"
        save_file({k: state[k] for k in keys}, out / file)
        index |= dict.fromkeys(keys, file)
    total = sum(t.numel() * 4 for t in state.values())
    (out / "diffusion_pytorch_model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": index}))
    config = json.dumps({
        "_class_name": "WanModel", "dim": 32, "eps": 1e-6, "ffn_dim": 64, "freq_dim": 64, "in_dim": 16,
        "model_type": "t2v", "num_heads": 2, "num_layers": 2, "out_dim": 16, "text_len": 512})
    (out / "config.json").write_text(config)
    single = ROOT / "pth"
    single.mkdir()
    torch.save({k: v.clone() for k, v in state.items()}, single / "wan_t2v.pth")
    (single / "config.json").write_text(config)
    torch.save({rename(k, TEXT): v.bfloat16() for k, v in text.state_dict().items() if "embed_tokens" not in k},
               out / "models_t5_umt5-xxl-enc-bf16.pth")
    torch.save({vae_key(k): v.clone() for k, v in vae.state_dict().items()}, out / "Wan2.1_VAE.pth")
    shutil.copytree(tokenizer_folder, out / "google" / "umt5-xxl")


def run(pipe, scheduler, steps, guidance, noise, frames, height, width):
    pipe.scheduler = scheduler
    per_step = []
    keep = lambda p, i, t, kw: per_step.append(kw["latents"].clone()) or kw
    kw = dict(prompt=PROMPT, negative_prompt=NEGATIVE, height=height, width=width, num_frames=frames,
              num_inference_steps=steps, guidance_scale=guidance, latents=noise.clone())
    with torch.no_grad():
        latents = pipe(**kw, output_type="latent", callback_on_step_end=keep,
                       callback_on_step_end_tensor_inputs=["latents"]).frames
        z = latents.clone()
        mean = torch.tensor(MEAN).view(1, 16, 1, 1, 1)
        std = torch.tensor(STD).view(1, 16, 1, 1, 1)
        video = pipe.vae.decode(z * std + mean).sample
    return per_step, latents, (video[0].permute(1, 2, 3, 0) * 0.5 + 0.5).clamp(0, 1)


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    folder = ROOT / "diffusers"
    (folder / "tokenizer").mkdir(parents=True)
    write_tokenizer(folder / "tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    text, dit, vae = models(len(tokenizer))
    unipc = UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True,
                                    num_train_timesteps=1000, flow_shift=5.0)
    pipe = WanPipeline(tokenizer, text, vae, unipc, dit)
    pipe.set_progress_bar_config(disable=True)
    pipe.save_pretrained(folder)
    official(text, dit, vae, folder / "tokenizer")

    g = torch.Generator("cpu").manual_seed(7)
    noise = torch.randn(1, 16, 3, 4, 6, generator=g)
    tensors = {"noise": noise}
    runs = {
        "unipc": (unipc, 6, 5.0),
        "unguided": (unipc, 6, 1.0),
        "euler": (FlowMatchEulerDiscreteScheduler(shift=3.0), 6, 4.0),
        "dpm": (DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True,
                                            flow_shift=3.0), 6, 4.0),
    }
    for name, (scheduler, steps, guidance) in runs.items():
        per_step, latents, frames = run(pipe, scheduler, steps, guidance, noise, 9, 32, 48)
        tensors[f"{name}.latents"] = latents
        if name == "unipc":
            tensors["unipc.frames"] = frames
            tensors |= {f"unipc.step_{i:03}": x for i, x in enumerate(per_step)}
        print(name, "latent std", latents.std().item(), "frame mean", frames.mean().item(), "std", frames.std().item(),
              "saturated", ((frames == 0) | (frames == 1)).float().mean().item())
    tensors["context"] = pipe.encode_prompt(PROMPT, NEGATIVE, True, device="cpu")[0][0]
    save("pipeline", tensors, {"prompt": PROMPT, "negative": NEGATIVE})


if __name__ == "__main__":
    main()
