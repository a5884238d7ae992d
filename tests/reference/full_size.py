"""Writes a diffusers folder of full-size random weights: the Wan 2.1 T2V-1.3B transformer and VAE, and a text encoder
with one small layer but the full width of 4096.

    full_size.py OUTDIR [--dtype f32|bf16]

Weights are seeded and scaled to keep activations near one. Tensors are drawn one by one and written shard by shard,
so the peak memory is that of one shard. The size options are for trying the script out.
"""
import argparse
import json
import pathlib
import zlib

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
from safetensors.torch import save_file
from transformers import UMT5Config, UMT5EncoderModel

from common import randomize

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
SHARD_BYTES = 1 << 30
TEXT_DIM = 4096


def draw(name, shape, dtype):
    """One random tensor, the same whatever is drawn before it: matrices scaled by fan-in, norms around one."""
    generator = torch.Generator("cpu").manual_seed(zlib.crc32(name.encode()))
    noise = torch.randn(shape, generator=generator)
    if name.endswith("bias") or "scale_shift_table" in name:
        noise.mul_(0.2)
    elif "gamma" in name or "norm" in name:
        noise.mul_(0.2).add_(1)
    else:
        noise.div_(noise[0].numel() ** 0.5)
    return noise.to(dtype)


def shards_of(shapes, dtype):
    """Names in order, grouped so that a group stays below SHARD_BYTES unless it is a single tensor."""
    groups, size = [[]], 0
    for name, shape in shapes.items():
        bytes_ = shape.numel() * dtype.itemsize
        if groups[-1] and size + bytes_ > SHARD_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(name)
        size += bytes_
    return groups


def write_weights(folder, shapes, dtype):
    """`diffusion_pytorch_model` in one file, or in numbered shards with an index."""
    stem = "diffusion_pytorch_model"
    groups = shards_of(shapes, dtype)
    weight_map = {}
    for i, names in enumerate(groups, 1):
        file = f"{stem}-{i:05}-of-{len(groups):05}.safetensors" if len(groups) > 1 else f"{stem}.safetensors"
        tensors = {name: draw(name, shapes[name], dtype) for name in names}
        save_file(tensors, folder / file, metadata={"format": "pt"})
        weight_map.update(dict.fromkeys(names, file))
    if len(groups) > 1:
        total = sum(shape.numel() * dtype.itemsize for shape in shapes.values())
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index, indent=1))


def write_model(folder, build, dtype):
    folder.mkdir(parents=True, exist_ok=True)
    with torch.device("meta"):
        model = build()
    model.save_config(folder)
    write_weights(folder, {name: p.shape for name, p in model.state_dict().items()}, dtype)


def write_text_encoder(root, dtype):
    # Imported here: the weights alone need no tokenizer.
    from tokenizer import write_tokenizer

    vocab = write_tokenizer(root / "tokenizer")
    config = UMT5Config(
        vocab_size=vocab, d_model=TEXT_DIM, d_kv=8, d_ff=64, num_heads=4, num_layers=1, feed_forward_proj="gated-gelu"
    )
    randomize(UMT5EncoderModel(config), seed=4).to(dtype).save_pretrained(root / "text_encoder")


def write_index(root):
    library = {
        "scheduler": ["diffusers", "UniPCMultistepScheduler"],
        "text_encoder": ["transformers", "UMT5EncoderModel"],
        "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "transformer": ["diffusers", "WanTransformer3DModel"],
        "vae": ["diffusers", "AutoencoderKLWan"],
    }
    index = {"_class_name": "WanPipeline", "_diffusers_version": "0.42.1", **library}
    (root / "model_index.json").write_text(json.dumps(index, indent=2))


def options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("outdir", type=pathlib.Path)
    parser.add_argument("--dtype", choices=DTYPES, default="f32", help="of the transformer and the text encoder")
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--layers", type=int, default=30)
    parser.add_argument("--ffn-dim", type=int, default=8960)
    parser.add_argument("--vae-dim", type=int, default=96)
    parser.add_argument("--no-text", action="store_true", help="leave the text encoder and the tokenizer out")
    return parser.parse_args()


def main():
    args = options()
    torch.set_num_threads(2)
    dtype = DTYPES[args.dtype]
    transformer = dict(num_attention_heads=args.heads, num_layers=args.layers, ffn_dim=args.ffn_dim, text_dim=TEXT_DIM)
    write_model(args.outdir / "transformer", lambda: WanTransformer3DModel(**transformer), dtype)
    write_model(args.outdir / "vae", lambda: AutoencoderKLWan(base_dim=args.vae_dim), torch.float32)
    flow = dict(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    UniPCMultistepScheduler(**flow).save_pretrained(args.outdir / "scheduler")
    if not args.no_text:
        write_text_encoder(args.outdir, dtype)
    write_index(args.outdir)


if __name__ == "__main__":
    main()
