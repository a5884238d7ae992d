"""Trains the diffusion transformer on the latents of drawn clips and their captions.

Flow matching: the network sees `(1 - sigma) * latents + sigma * noise` and learns `noise - latents`.
`python dit.py [--steps N] [--minutes M]` goes on from RUN/dit.pt; the latents are made first and kept in RUN/clips.pt.
"""
import concurrent.futures
import copy
import math
import queue
import random

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttnProcessor

import text
import vae
from common import DEVICE, RUN, TEXT_LEN, arguments, train
from data import caption, junk, render, sample_scene

HEADS, HEAD_DIM, LAYERS = 5, 32, 8
CLIPS = 2400
BATCH = 24
SHIFT = 3.0
DROPOUT = 0.12


class PaddedText(WanAttnProcessor):
    """Attention over a few rows of text that equals attention over TEXT_LEN of them.

    Every row past a text's end is the same, so one of them stands for all with the logarithm of their number added
    to its score.
    """
    bias = None

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, rotary_emb=None):
        return super().__call__(attn, hidden_states, encoder_hidden_states, self.bias, rotary_emb)

    def pad(self, rows, share=1.0):
        """[B, L, C] with zeros past each text's end -> [B, L + 1, C], the last row standing for TEXT_LEN - L."""
        self.bias = torch.zeros(1, 1, 1, rows.shape[1] + 1, device=rows.device)
        self.bias[..., -1] = share * math.log(TEXT_LEN - rows.shape[1])
        return torch.nn.functional.pad(rows, (0, 0, 0, 1))


def build(padded=True):
    torch.manual_seed(3)
    dim = HEADS * HEAD_DIM
    dit = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=HEADS, attention_head_dim=HEAD_DIM, in_channels=16, out_channels=16,
        text_dim=text.WIDTH, freq_dim=128, ffn_dim=4 * dim, num_layers=LAYERS, rope_max_seq_len=64)
    with torch.no_grad():
        dit.proj_out.weight.zero_()
        dit.proj_out.bias.zero_()
    if padded:
        processor = PaddedText()
        for block in dit.blocks:
            block.attn2.set_processor(processor)
    return dit.to(DEVICE)


def scenes(count):
    rng = random.Random("clips")
    return [sample_scene(rng) for _ in range(count)]


def clips(count):
    """Normalised latents [count, 16, 5, 12, 12] in f16; what RUN/clips.pt already holds is not made again."""
    file = RUN / "clips.pt"
    done = list(torch.load(file)) if file.exists() else []
    if len(done) >= count:
        return torch.stack(done[:count])
    autoencoder, stats = vae.load()
    mean, std = (torch.tensor(stats[k], device=DEVICE).view(1, -1, 1, 1, 1) for k in ("mean", "std"))
    # The autoencoder keeps the frames before in itself, so each thread has its own.
    threads = torch.get_num_threads()
    copies = queue.SimpleQueue()
    for _ in range(threads):
        copies.put(copy.deepcopy(autoencoder))

    @torch.no_grad()
    def encode(some):
        mine = copies.get()
        latents = mine.encode(torch.stack([render(s) for s in some]).to(DEVICE)).latent_dist.mode()
        copies.put(mine)
        return ((latents - mean) / std).half().cpu()

    todo = scenes(count)[len(done):]
    torch.set_num_threads(1)
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        for latents in pool.map(encode, [todo[i:i + 4] for i in range(0, len(todo), 4)]):
            done += latents.unbind(0)
            if len(done) % 200 < 4 or len(done) >= count:
                torch.save(torch.stack(done), file.with_suffix(".new"))
                file.with_suffix(".new").replace(file)
                print(f"{len(done)} of {count} clips", flush=True)
    torch.set_num_threads(threads)
    return torch.stack(done)


@torch.no_grad()
def rows_of(texts, tokenizer, encoder):
    """Text rows [B, L, C] with zeros past each text's end."""
    ids, mask = text.tokens(tokenizer, texts)
    return encoder(ids, attention_mask=mask).last_hidden_state * mask.unsqueeze(2)


class Task:
    """Clips with captions drawn anew for every batch."""

    def __init__(self, dit, steps):
        self.dit, self.steps = dit, steps
        self.tokenizer, self.encoder = text.load()
        self.latents, self.scenes = clips(CLIPS), scenes(CLIPS)
        # What is learnt last is drawn twice as often: shapes on bright ground, and shapes that turn.
        self.counts = [2 if s.background == "sand" or s.motion == "spin" else 1 for s in self.scenes]
        self.processor = dit.blocks[0].attn2.processor

    def loss_of(self, step):
        rng, g = random.Random(f"dit {step}"), torch.Generator().manual_seed(step)
        chosen = rng.choices(range(CLIPS), self.counts, k=BATCH)
        texts = [junk(rng) if rng.random() < DROPOUT else caption(self.scenes[n], rng)[0] for n in chosen]
        # The padding counts little at first: 500 rows of it would hide a dozen words from attention that knows nothing.
        rows = self.processor.pad(rows_of(texts, self.tokenizer, self.encoder), min(1.0, 3 * step / self.steps))
        latents = self.latents[chosen].float().to(DEVICE)
        noise = torch.randn(latents.shape, generator=g).to(DEVICE)
        u = (torch.randperm(BATCH, generator=g) + torch.rand(BATCH, generator=g)) / BATCH
        sigma = (SHIFT * u / (1 + (SHIFT - 1) * u)).to(DEVICE)
        s = sigma.view(-1, 1, 1, 1, 1)
        flow = self.dit((1 - s) * latents + s * noise, sigma * 1000, rows, return_dict=False)[0]
        loss = (flow - (noise - latents)).square().mean()
        return loss, {"loss": loss.item()}


def load(padded=False):
    """The trained transformer."""
    dit = build(padded).eval().requires_grad_(False)
    dit.load_state_dict(torch.load(RUN / "dit.pt", map_location=DEVICE)["mean"])
    return dit


def main():
    args = arguments(4500)
    dit = build()
    task = Task(dit, args.steps)
    train("dit", dit, task.loss_of, args.steps, args.minutes, peak=2e-3, average=0.998,
          embeddings=("condition_embedder", "proj_out", "patch_embedding"))


if __name__ == "__main__":
    main()
