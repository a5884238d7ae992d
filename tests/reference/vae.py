"""Video VAE of diffusers at toy shapes, two of the kind of Wan 2.1 and two of 2.2: encoded and decoded videos and the
weights under this project's names.

Written with torch 2.15.0 and diffusers 0.42.1.
"""
import re

import torch
from diffusers import AutoencoderKLWan

from common import randomize, save

torch.set_num_threads(1)


def module_path(key, res_blocks):
    """The module path of a diffusers key, with the prefix `enc.` or `dec.`."""
    if key.startswith("quant_conv"):
        return "enc." + key
    if key.startswith("post_quant_conv"):
        return "dec." + key
    key = key.replace("encoder.", "enc.").replace("decoder.", "dec.")
    key = key.replace("conv_shortcut", "shortcut").replace("resample.1.", "resample.")
    key = key.replace("mid_block.resnets.0", "mid.res1").replace("mid_block.resnets.1", "mid.res2")
    key = key.replace("mid_block.attentions.0", "mid.attn")
    for half, path, length in [("down_blocks", "down", res_blocks + 1), ("up_blocks", "up", res_blocks + 2)]:
        # The step stands last in its stage.
        index = lambda stage, block: f"{path}.{int(stage) * length + int(block)}"
        key = re.sub(half + r"\.(\d+)\.resnets\.(\d+)", lambda m: index(m[1], m[2]), key)
        key = re.sub(half + r"\.(\d+)\.(downsampler|upsamplers\.0|upsampler)", lambda m: index(m[1], length - 1), key)
        key = key.replace(half, path)
    return key


def golden(name, seed, config, video_shape, latent_shape):
    z_dim = config["z_dim"]
    generator = torch.Generator("cpu").manual_seed(seed)
    mean = torch.randn(z_dim, generator=generator)
    std = 0.5 + torch.rand(z_dim, generator=generator)
    vae = AutoencoderKLWan(**config, latents_mean=mean.tolist(), latents_std=std.tolist())
    randomize(vae, seed)
    with torch.no_grad():
        # Keeps nearly all decoded values inside the clamp.
        vae.decoder.conv_out.weight.mul_(0.5)
    video = torch.rand(1, 3, *video_shape, generator=generator) * 2 - 1
    latents = torch.randn(1, z_dim, *latent_shape, generator=generator)
    per_channel = lambda t: t.view(1, -1, 1, 1, 1)
    with torch.no_grad():
        mode = vae.encode(video).latent_dist.mode()
        encoded = (mode - per_channel(mean)) * per_channel(1.0 / std)
        decoded = vae.decode(latents / per_channel(1.0 / std) + per_channel(mean)).sample
    saturated = (decoded.abs() == 1).float().mean().item()
    print(f"{name}: encoded std {encoded.std():.3f}, decoded std {decoded.std():.3f}, saturated {saturated:.4f}")
    assert 0.1 < encoded.std() < 10 and decoded.std() > 0.1 and saturated < 0.05
    tensors = {module_path(key, config["num_res_blocks"]): p for key, p in vae.named_parameters()}
    tensors |= {"mean": mean, "std": std, "video": video, "encoded": encoded, "latents": latents, "decoded": decoded}
    save(name, tensors)


golden(
    "vae",
    seed=1,
    config=dict(
        base_dim=4, z_dim=4, dim_mult=[1, 2, 4, 4], num_res_blocks=1, temperal_downsample=[False, True, True]
    ),
    video_shape=(9, 16, 24),
    latent_shape=(3, 3, 5),
)
golden(
    "vae_two_blocks",
    seed=2,
    config=dict(base_dim=6, z_dim=3, dim_mult=[1, 1, 2], num_res_blocks=2, temperal_downsample=[True, False]),
    video_shape=(5, 12, 20),
    latent_shape=(4, 3, 3),
)

golden(
    "vae22",
    seed=3,
    config=dict(
        base_dim=4, decoder_base_dim=3, z_dim=5, dim_mult=[1, 2, 4, 4], num_res_blocks=1,
        temperal_downsample=[False, True, True], is_residual=True, patch_size=2, in_channels=12, out_channels=12,
        scale_factor_spatial=16,
    ),
    video_shape=(9, 32, 48),
    latent_shape=(3, 3, 2),
)
# Shortcuts of other group sizes: means over two values and over eight, a narrowing stage that doubles time.
golden(
    "vae22_uneven",
    seed=4,
    config=dict(
        base_dim=4, decoder_base_dim=6, z_dim=3, dim_mult=[1, 1, 2, 2], num_res_blocks=2,
        temperal_downsample=[True, True, False], is_residual=True,
    ),
    video_shape=(9, 16, 24),
    latent_shape=(3, 2, 3),
)
