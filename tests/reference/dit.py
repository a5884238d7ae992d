"""Goldens of the diffusion transformer: a whole forward pass of two tiny networks, and its parts."""
import json

import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import save_file

from common import randomize, save

torch.set_num_threads(1)

RENAME = [
    ("condition_embedder.text_embedder.linear_", "text_embedding.linear"),
    ("condition_embedder.time_embedder.linear_", "time_embedding.linear"),
    ("condition_embedder.time_proj", "time_projection"),
    ("condition_embedder.image_embedder.ff.net.0.proj", "image_embedding.linear1"),
    ("condition_embedder.image_embedder.ff.net.2", "image_embedding.linear2"),
    ("condition_embedder.image_embedder.pos_embed", "image_embedding.position"),
    ("condition_embedder.image_embedder.norm2.", "image_embedding.norm_out."),
    ("condition_embedder.image_embedder.norm1.", "image_embedding.norm_in."),
    (".attn1.to_out.0", ".self_attn.o"), (".attn2.to_out.0", ".cross_attn.o"),
    (".attn2.add_k_proj", ".cross_attn.image.k"), (".attn2.add_v_proj", ".cross_attn.image.v"),
    (".attn2.norm_added_k", ".cross_attn.image.norm_k"),
    (".attn1.to_", ".self_attn."), (".attn2.to_", ".cross_attn."),
    (".attn1.", ".self_attn."), (".attn2.", ".cross_attn."),
    (".norm2.", ".norm3."), (".ffn.net.0.proj", ".ffn.linear1"), (".ffn.net.2", ".ffn.linear2"),
    (".scale_shift_table", ".modulation"), ("proj_out", "head.head"),
]
# From the names of our modules to those of the authors.
NATIVE = [
    ("text_embedding.linear1", "text_embedding.0"), ("text_embedding.linear2", "text_embedding.2"),
    ("time_embedding.linear1", "time_embedding.0"), ("time_embedding.linear2", "time_embedding.2"),
    ("time_projection", "time_projection.1"), (".ffn.linear1", ".ffn.0"), (".ffn.linear2", ".ffn.2"),
    ("image_embedding.position", "img_emb.emb_pos"), ("image_embedding.norm_in", "img_emb.proj.0"),
    ("image_embedding.linear1", "img_emb.proj.1"), ("image_embedding.linear2", "img_emb.proj.3"),
    ("image_embedding.norm_out", "img_emb.proj.4"),
    (".image.k.", ".k_img."), (".image.v.", ".v_img."), (".image.norm_k.", ".norm_k_img."),
    (".camera.linear1", ".cam_injector_layer1"), (".camera.linear2", ".cam_injector_layer2"),
    (".camera.scale", ".cam_scale_layer"), (".camera.shift", ".cam_shift_layer"),
    ("camera.control", "patch_embedding_wancamctrl"), ("camera.linear1", "c2ws_hidden_states_layer1"),
    ("camera.linear2", "c2ws_hidden_states_layer2"),
]


def ours(key):
    if key == "scale_shift_table":
        return "head.modulation"
    for old, new in RENAME:
        key = key.replace(old, new)
    return key


def sinusoid(timesteps, half=128):
    """In f64, as the official code has it: f32 frequencies put 1e-5 of error into the embedding at t = 999."""
    w = torch.pow(10000, -torch.arange(half, dtype=torch.float64) / half)
    a = timesteps.double()[:, None] * w[None]
    return torch.cat([a.cos(), a.sin()], dim=1).float()


def tiny(heads, head_dim, ffn, layers, channels, text_dim, seed, out_channels=None, **image):
    model = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=heads, attention_head_dim=head_dim, in_channels=channels,
        out_channels=out_channels or channels, text_dim=text_dim, freq_dim=256, ffn_dim=ffn, num_layers=layers,
        cross_attn_norm=True, qk_norm="rms_norm_across_heads", eps=1e-6, **image)
    randomize(model, seed)
    model.condition_embedder.timesteps_proj.forward = sinusoid
    return model


def pad(text):
    return torch.cat([text, torch.zeros(1, 512 - text.shape[1], text.shape[2])], 1)


def weights(model):
    return {ours(k): v for k, v in model.state_dict().items()}


def native_folder(path, weights, in_dim, layers, out_dim=4):
    """As the authors publish a transformer, from weights under our names."""
    path.mkdir(parents=True, exist_ok=True)
    state = {}
    for key, value in weights.items():
        for old, new in NATIVE:
            key = key.replace(old, new)
        state[key] = value.contiguous()
    save_file(state, path / "diffusion_pytorch_model.safetensors")
    (path / "config.json").write_text(json.dumps({
        "_class_name": "WanModel", "dim": 32, "eps": 1e-6, "ffn_dim": 48, "freq_dim": 256, "in_dim": in_dim,
        "model_type": "i2v", "num_heads": 2, "num_layers": layers, "out_dim": out_dim, "text_len": 512}))


def case(out, name, model, latent, timestep, rows, seed):
    g = torch.Generator("cpu").manual_seed(seed)
    x = torch.randn(1, model.config.in_channels, *latent, generator=g)
    text = torch.randn(1, rows, model.config.text_dim, generator=g)
    with torch.no_grad():
        y = model(x, torch.tensor([timestep]), pad(text), return_dict=False)[0]
    out.update({f"{name}.x": x, f"{name}.text": text, f"{name}.t": torch.tensor([timestep]), f"{name}.y": y})
    print(name, "in std", x.std().item(), "out std", y.std().item())


if __name__ == "__main__":
    tensors = {}
    small = tiny(heads=2, head_dim=16, ffn=48, layers=2, channels=4, text_dim=24, seed=1)
    case(tensors, "square", small, (2, 4, 4), 999, 7, 11)
    case(tensors, "odd", small, (3, 6, 10), 3, 1, 12)
    case(tensors, "frame", small, (1, 2, 2), 500, 12, 13)
    tensors |= {f"w.{k}": v for k, v in weights(small).items()}
    save("dit_small", tensors)

    tensors = {}
    wide = tiny(heads=3, head_dim=22, ffn=80, layers=1, channels=5, text_dim=20, seed=2)
    case(tensors, "odd", wide, (5, 6, 2), 731, 30, 21)
    tensors |= {f"w.{k}": v for k, v in weights(wide).items()}
    save("dit_wide", tensors)
