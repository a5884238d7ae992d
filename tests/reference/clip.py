"""Tiny CLIP image encoders in both layouts, and what transformers makes of them.

tests/goldens/clip.safetensors   weights under module paths, pictures and token states
tests/goldens/tiny_clip/diffusers/image_encoder   the first encoder as transformers saved it before version 5
tests/goldens/tiny_clip/official/*.pth   the second one under the authors' names, f16, with heads as wide as released
"""
import json
import shutil

import torch
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModel

from common import GOLDENS, randomize, save

torch.set_num_threads(1)
ROOT = GOLDENS / "tiny_clip"

PARTS = [("layer_norm", "norm"), ("self_attn.out_proj", "attn.proj"), ("self_attn.q_proj", "attn.qkv.0"),
         ("self_attn.k_proj", "attn.qkv.1"), ("self_attn.v_proj", "attn.qkv.2"), ("mlp.fc", "mlp.linear")]
EMBED = {"embeddings.class_embedding": "embed.class", "embeddings.patch_embedding.weight": "embed.patch",
         "embeddings.position_embedding.weight": "embed.position", "pre_layrnorm.weight": "pre_norm.weight",
         "pre_layrnorm.bias": "pre_norm.bias"}


def encoder(seed, width, heads, layers, mlp, image, patch, act="gelu"):
    config = CLIPVisionConfig(
        hidden_size=width, num_attention_heads=heads, num_hidden_layers=layers, intermediate_size=mlp,
        image_size=image, patch_size=patch, hidden_act=act, attention_dropout=0.0, layer_norm_eps=1e-5)
    model = randomize(CLIPVisionModel(config), seed)
    with torch.no_grad():
        for layer in model.encoder.layers:
            # Attention that is far from an average.
            layer.self_attn.q_proj.weight.mul_(3)
        for p in model.parameters():
            p.copy_(p.half().float())
    return model


def module_weights(model):
    """Weights by module path; the last block, which gives nothing to the result, left out."""
    last, out = model.config.num_hidden_layers - 1, {}
    for key, value in model.state_dict().items():
        if key in EMBED:
            out[EMBED[key]] = value
        elif key.startswith("encoder.layers.") and not key.startswith(f"encoder.layers.{last}."):
            key = key.replace("encoder.layers", "blocks")
            for old, new in PARTS:
                key = key.replace(old, new)
            out[key] = value
    return out


def fuse(weights):
    """One matrix for queries, keys and values."""
    out = {k: v for k, v in weights.items() if ".qkv." not in k}
    for key in weights:
        if ".qkv.0." in key:
            out[key] = torch.cat([weights[key.replace("qkv.0", f"qkv.{n}")] for n in range(3)])
    return out


def states(model, pictures):
    with torch.no_grad():
        return model(pixel_values=pictures, output_hidden_states=True).hidden_states[-2]


def pictures(seed, count, size):
    return torch.randn(count, 3, size, size, generator=torch.Generator("cpu").manual_seed(seed))


def diffusers_folder(model, out):
    out.mkdir(parents=True)
    save_file({f"vision_model.{k}": v.contiguous() for k, v in model.state_dict().items()}, out / "model.safetensors",
              metadata={"format": "pt"})
    config = model.config.to_diff_dict() | {"architectures": ["CLIPVisionModel"]}
    (out / "config.json").write_text(json.dumps(dict(sorted(config.items())), indent=2) + "\n")


def official_file(model):
    names = {"embed.patch": "patch_embedding.weight", "embed.class": "cls_embedding", "embed.position": "pos_embedding"}
    weights, last = fuse(module_weights(model)), model.config.num_hidden_layers - 1
    state = {}
    for key, value in weights.items():
        key = names.get(key, key).replace("blocks.", "transformer.").replace("qkv.0", "to_qkv")
        key = key.replace("mlp.linear1", "mlp.0").replace("mlp.linear2", "mlp.2")
        state[f"visual.{key}"] = value
    state["visual.cls_embedding"] = state["visual.cls_embedding"].reshape(1, 1, -1)
    state["visual.pos_embedding"] = state["visual.pos_embedding"].unsqueeze(0)
    state |= {k.replace(".0.", f".{last}.", 1): v + 1 for k, v in state.items() if k.startswith("visual.transformer.0.")}
    width = model.config.hidden_size
    state |= {"visual.post_norm.weight": torch.ones(width), "visual.post_norm.bias": torch.zeros(width),
              "visual.head": torch.ones(width, 4), "log_scale": torch.tensor(2.5),
              "textual.token_embedding.weight": torch.ones(6, 4)}
    out = ROOT / "official"
    out.mkdir(parents=True)
    torch.save({k: v.half() for k, v in state.items()},
               out / "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth")


def main():
    shutil.rmtree(ROOT, ignore_errors=True)
    first = encoder(1, width=32, heads=2, layers=3, mlp=48, image=28, patch=14)
    quick = encoder(1, width=32, heads=2, layers=3, mlp=48, image=28, patch=14, act="quick_gelu")
    second = encoder(2, width=80, heads=1, layers=2, mlp=64, image=32, patch=4)
    small, large = pictures(3, 2, 28), pictures(4, 1, 32)
    weights = module_weights(first)
    tensors = {f"split.{k}": v for k, v in weights.items()}
    tensors |= {f"fused.{k}": v for k, v in fuse(weights).items()}
    tensors |= {"small": small, "gelu": states(first, small), "quick_gelu": states(quick, small),
                "large": large, "official": states(second, large)}
    for name in ("gelu", "quick_gelu", "official"):
        print(name, tuple(tensors[name].shape), "std", tensors[name].std().item())
    save("clip", tensors)
    diffusers_folder(first, ROOT / "diffusers" / "image_encoder")
    official_file(second)


if __name__ == "__main__":
    main()
