"""Makes the tokenizer and trains the text encoder to know what a caption names.

The encoder learns from five linear classifiers over the mean of its rows (shape, colour, motion, background, size,
each with a class for "not said"), and is left unchanged by the transformer's training.
`python text.py [--steps N] [--minutes M]` goes on from RUN/text.pt; RUN/tokenizer gets the tokenizer.
"""
import random

import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from common import DEVICE, RUN, arguments, train
from data import BACKGROUNDS, COLOURS, MOTIONS, SHAPES, SIZES, caption, junk, sample_scene

SPECIAL = ("<pad>", "</s>", "<unk>")
CLASSES = {"shape": SHAPES, "colour": tuple(COLOURS), "motion": MOTIONS, "background": tuple(BACKGROUNDS), "size": tuple(SIZES)}
WIDTH = 128
BATCH = 128


def write_tokenizer():
    """A Unigram model in the shape of umT5's, of at most 1,024 pieces: every ASCII character is one."""
    rng = random.Random("tokenizer")
    texts = [caption(sample_scene(rng), rng)[0] if n % 4 else junk(rng) for n in range(20000)]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True), pre_tokenizers.Punctuation()])
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme="always")
    alphabet = [chr(c) for c in range(33, 127) if not chr(c).isupper()]
    tokenizer.train_from_iterator(texts, trainers.UnigramTrainer(
        vocab_size=1024, special_tokens=list(SPECIAL), unk_token="<unk>", initial_alphabet=alphabet, show_progress=False))
    end = tokenizer.token_to_id("</s>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["$A", "</s>"], pair=["$A", "</s>", "$B", "</s>"], special_tokens=[("</s>", end)])
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in SPECIAL])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
                                   model_max_length=512)
    fast.save_pretrained(RUN / "tokenizer")
    return fast


def load_tokenizer():
    return PreTrainedTokenizerFast.from_pretrained(RUN / "tokenizer")


def build(vocab):
    torch.manual_seed(2)
    return UMT5EncoderModel(UMT5Config(
        vocab_size=vocab, d_model=WIDTH, d_kv=32, d_ff=256, num_layers=3, num_heads=4, dropout_rate=0.0)).to(DEVICE)


def tokens(tokenizer, texts):
    """Ids and mask [B, L], L being the longest text's length."""
    out = tokenizer(texts, padding="longest", truncation=True, max_length=64, return_tensors="pt")
    return out.input_ids.to(DEVICE), out.attention_mask.to(DEVICE)


class Reader(torch.nn.Module):
    """The encoder with the classifiers that teach it."""

    def __init__(self, vocab):
        super().__init__()
        self.encoder = build(vocab)
        self.heads = torch.nn.ModuleDict({k: torch.nn.Linear(WIDTH, len(v) + 1) for k, v in CLASSES.items()})

    def forward(self, ids, mask):
        rows = self.encoder(ids, attention_mask=mask).last_hidden_state
        mean = (rows * mask.unsqueeze(2)).sum(1) / mask.sum(1, keepdim=True)
        return {k: head(mean) for k, head in self.heads.items()}


def batch(tokenizer, rng, size=BATCH):
    texts, named = [], []
    for _ in range(size):
        text, names = caption(sample_scene(rng), rng) if rng.random() > 0.15 else (junk(rng), {})
        texts.append(text)
        named.append([CLASSES[k].index(names[k]) + 1 if names.get(k) else 0 for k in CLASSES])
    return texts, torch.tensor(named, device=DEVICE)


def loss_of(reader, tokenizer, step):
    texts, named = batch(tokenizer, random.Random(f"text {step}"))
    logits = reader(*tokens(tokenizer, texts))
    loss = sum(torch.nn.functional.cross_entropy(logits[k], named[:, i]) for i, k in enumerate(CLASSES))
    right = torch.stack([logits[k].argmax(1) == named[:, i] for i, k in enumerate(CLASSES)])
    return loss, {"loss": loss.item(), "right": right.all(0).float().mean().item()}


def load():
    """The tokenizer and the trained encoder."""
    tokenizer = load_tokenizer()
    reader = Reader(len(tokenizer)).eval().requires_grad_(False)
    reader.load_state_dict(torch.load(RUN / "text.pt", map_location=DEVICE)["mean"])
    return tokenizer, reader.encoder


def main():
    args = arguments(500)
    RUN.mkdir(parents=True, exist_ok=True)
    tokenizer = load_tokenizer() if (RUN / "tokenizer").exists() else write_tokenizer()
    reader = Reader(len(tokenizer)).to(DEVICE)
    train("text", reader, lambda step: loss_of(reader, tokenizer, step), args.steps, args.minutes, peak=2e-3,
          average=0.99, embeddings=("shared", "embed_tokens", "heads", "relative_attention_bias"))
    for text in ("a red ball rolls to the left", "the ball, blue, goes up and to the right", "a cat walks", ""):
        with torch.no_grad():
            logits = reader(*tokens(tokenizer, [text]))
        print(text, "->", {k: ("-", *CLASSES[k])[v.argmax().item()] for k, v in logits.items()})


if __name__ == "__main__":
    main()
