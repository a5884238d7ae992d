"""Goldens of the transformer's image branch, with and without positions, and of a timestep for each token.

tests/goldens/tiny_dit/diffusers    the one with positions as a diffusers folder
tests/goldens/tiny_dit/official     the same under the authors' names
"""
import torch

from common import GOLDENS, save
from dit import native_folder, pad, tiny, weights

IMAGE_DIM, IMAGE_TOKENS = 20, 5


def inputs(seed, channels, latent, rows, pictures):
    g = torch.Generator("cpu").manual_seed(seed)
    x = torch.randn(1, channels, *latent, generator=g)
    text = torch.randn(1, rows, 24, generator=g)
    return x, text, torch.randn(pictures, IMAGE_TOKENS, IMAGE_DIM, generator=g)


def branch(name, seed, layers, pictures, **options):
    """More channels in than out, as with a mask and an image beside the noise."""
    model = tiny(heads=2, head_dim=16, ffn=48, layers=layers, channels=9, out_channels=4, text_dim=24, seed=seed,
                 image_dim=IMAGE_DIM, added_kv_proj_dim=32, **options)
    if model.condition_embedder.image_embedder.pos_embed is not None:
        generator = torch.Generator("cpu").manual_seed(seed)
        model.condition_embedder.image_embedder.pos_embed.data.normal_(generator=generator)
    x, text, image = inputs(seed + 1, 9, (3, 4, 6), 7, pictures)
    with torch.no_grad():
        y = model(x, torch.tensor([823.0]), pad(text), image, return_dict=False)[0]
        without = model(x, torch.tensor([823.0]), pad(text), return_dict=False)[0]
    print(name, "out std", y.std().item(), "difference the image makes", (y - without).norm() / y.norm())
    case = {"x": x, "text": text, "t": torch.tensor([823.0]), "image": image, "y": y, "without": without}
    case = {f"{name}.{k}": v for k, v in case.items()}
    if name == "pair":
        model.save_pretrained(GOLDENS / "tiny_dit" / "diffusers")
        native_folder(GOLDENS / "tiny_dit" / "official", weights(model), in_dim=9, layers=layers)
    return case | {f"{name}.w.{k}": v for k, v in weights(model).items()}


def per_token():
    """The first latent frame is given, so its tokens have another timestep than those of the noisy rest."""
    model = tiny(heads=2, head_dim=16, ffn=48, layers=2, channels=4, text_dim=24, seed=51)
    out = {f"w.{k}": v for k, v in weights(model).items()}
    for name, latent, first, rest, seed in [("given", (3, 4, 6), 0.0, 731.0, 52), ("single", (1, 4, 4), 17.0, 400.0, 53)]:
        x, text, _ = inputs(seed, 4, latent, 9, 1)
        frames, per_frame = latent[0], latent[1] * latent[2] // 4
        t = torch.tensor([first] * per_frame + [rest] * (frames - 1) * per_frame)[None]
        with torch.no_grad():
            y = model(x, t, pad(text), return_dict=False)[0]
            all_rest = model(x, torch.tensor([rest]), pad(text), return_dict=False)[0]
        print(name, "difference the first frame's timestep makes", (y - all_rest).norm() / y.norm())
        case = {"x": x, "text": text, "t": torch.tensor([first, rest]), "y": y}
        out |= {f"{name}.{k}": v for k, v in case.items()}
    return out


save("dit_image", branch("clip", 31, 2, 1) | branch("pair", 41, 1, 2, pos_embed_seq_len=2 * IMAGE_TOKENS))
save("dit_timesteps", per_token())
