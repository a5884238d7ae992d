"""tests/goldens/umt5.safetensors: two tiny umT5 encoders, one with heads narrower than the model, one wider."""
import torch
from transformers import UMT5Config, UMT5EncoderModel
from transformers.models.umt5.modeling_umt5 import UMT5Attention

from common import randomize, save

torch.set_num_threads(1)

NAMES = {
    "layer.0.layer_norm.weight": "norm1.weight",
    "layer.0.SelfAttention.q.weight": "attn.q.weight",
    "layer.0.SelfAttention.k.weight": "attn.k.weight",
    "layer.0.SelfAttention.v.weight": "attn.v.weight",
    "layer.0.SelfAttention.o.weight": "attn.o.weight",
    "layer.0.SelfAttention.relative_attention_bias.weight": "relative_bias",
    "layer.1.layer_norm.weight": "norm2.weight",
    "layer.1.DenseReluDense.wi_0.weight": "ffn.gate.weight",
    "layer.1.DenseReluDense.wi_1.weight": "ffn.up.weight",
    "layer.1.DenseReluDense.wo.weight": "ffn.down.weight",
}


def config(heads):
    return UMT5Config(
        vocab_size=384, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=heads, relative_attention_num_buckets=32,
        relative_attention_max_distance=128, dropout_rate=0.0, layer_norm_epsilon=1e-6, feed_forward_proj="gated-gelu",
    )


def our_name(key):
    if key == "encoder.final_layer_norm.weight":
        return "norm.weight"
    if not key.startswith("encoder.block."):
        return None
    layer, rest = key.removeprefix("encoder.block.").split(".", 1)
    return f"blocks.{layer}.{NAMES[rest]}"


def main():
    tensors = {}
    rows = {n: torch.randn(1, n, 32, generator=torch.Generator("cpu").manual_seed(n)) for n in (1, 7, 40, 150)}
    tensors |= {f"in.{n}": x for n, x in rows.items()}
    for heads in (4, 6):
        model = randomize(UMT5EncoderModel(config(heads)), seed=heads)
        for key, value in model.state_dict().items():
            if name := our_name(key):
                tensors[f"w{heads}.{name}"] = value
        with torch.no_grad():
            for n, x in rows.items():
                out = model(inputs_embeds=x, attention_mask=torch.ones(1, n, dtype=torch.long)).last_hidden_state
                tensors[f"out{heads}.{n}"] = out
    attention = UMT5Attention(config(4), has_relative_attention_bias=True)
    tensors["buckets"] = attention._relative_position_bucket(torch.arange(-511, 512))
    save("umt5", tensors)


if __name__ == "__main__":
    main()
