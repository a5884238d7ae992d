"""tests/goldens/tokenizer/: a small tokenizer in the shape of umT5's, and prompts.json with the ids it gives.

`write_tokenizer` also serves the scripts that write whole checkpoints.
"""
import collections
import json
import math
import pathlib

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

SPECIAL = {"<pad>": 0, "</s>": 1, "<s>": 2, "<unk>": 3}
CORPUS = """
A cat walks on the grass in the morning light. A red car drives along the coast, seen from above, cinematic style.
Two dogs play with a ball in the snow; the camera moves slowly around them. A woman with long hair smiles and turns
to the sea while the wind blows. A small boat sails through the storm, dark clouds, high waves, dramatic lighting.
An old man reads a book in a quiet room, warm light from the window, soft focus, highly detailed, realistic.
The city at night, neon signs in the rain, people with umbrellas walking, slow motion, wide angle, 4k quality.
一只猫在草地上行走，阳光明媚，画面清晰。一辆红色的汽车沿着海岸行驶，从空中俯瞰，电影风格。两只狗在雪地里玩球，镜头缓慢移动。
色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，残缺的，多余的手指，
画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走
"""
PROMPTS = [
    "", " ", "a", "A cat walks on the grass, realistic style.", "  A   red car\tdrives \n along the coast ", "the the the the", "unknownwordzzz qqq",
    "一只猫在草地上行走", "一只猫, 一辆汽车。", "镜头缓慢移动", "画面 静止 画面", "cat一只猫cat", "A cat。Two dogs！", "emoji 😀 and 🐈", "日本語のテスト", "Привет мир", "مرحبا",
    "café naïve Ångström", "“curly quotes” and ‘single’", "schÃ¶n", "âœ” No problems", "fish &amp; chips", "fish &amp;amp; chips", "&lt;b&gt; bold", "a<b>&amp;</b>",
    "</s>", "<pad> in text", "end</s> middle", "<s><unk>", "<extra_id_0>", "<0x41>", "▁already▁marked", "A_cat", "4k quality", "ＦＵＬＬ　ＷＩＤＴＨ", "ﬁne ﬂow",
    "nbsp\u00a0here", "zero\u200bwidth", "e\u0301 combining", "one\r\ntwo\u2028three", "½ ² ™ ①", "a.b,c;d:e!f?", "----", "....", "x" * 40, "A CAT WALKS ON THE GRASS", "l'été à Paris", "\x00\x01", "ǆ Ǆ",
    "A small boat sails through the storm. " * 90, "画面" * 400, "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，JPEG压缩残留，丑陋的，残缺的",
]


def pieces():
    """Every character of the corpus and its frequent words and pairs, scored by frequency."""
    counts = collections.Counter()
    for word in CORPUS.replace("，", ",").split():
        word = "▁" + word
        for length in range(1, 8):
            counts.update(word[i:i + length] for i in range(len(word) - length + 1))
    single = [piece for piece in counts if len(piece) == 1]
    longer = sorted((p for p in counts if len(p) > 1), key=lambda p: (-counts[p] * (len(p) - 1), p))[:300]
    total = sum(counts.values())
    chosen = sorted({*single, *longer}, key=lambda p: (-counts[p], p))
    return [(p, round(math.log(counts[p] / total) + 0.5 * (len(p) - 1), 6)) for p in chosen]


def build():
    vocab = [(token, 0.0) for token in SPECIAL] + [(f"<0x{byte:02X}>", 0.0) for byte in range(256)] + pieces()
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=SPECIAL["<unk>"], byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always", split=True)
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(replacement="▁", prepend_scheme="always")])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["$A", "</s>"], pair=["$A", "</s>", "$B", "</s>"], special_tokens=[("</s>", SPECIAL["</s>"])]
    )
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    return tokenizer


def write_tokenizer(folder):
    """Writes tokenizer.json and its two companions into `folder`; returns the number of ids."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = build()
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    names = {"pad_token": "<pad>", "eos_token": "</s>", "bos_token": "<s>", "unk_token": "<unk>"}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, "extra_special_tokens": [], **names}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(names, indent=2) + "\n")
    return tokenizer.get_vocab_size()


def main():
    from diffusers.pipelines.wan.pipeline_wan import prompt_clean
    from transformers import AutoTokenizer

    from common import GOLDENS

    folder = GOLDENS / "tokenizer"
    size = write_tokenizer(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = []
    for length in (512, 16):
        for prompt in PROMPTS:
            out = tokenizer([prompt_clean(prompt)], padding="max_length", max_length=length, truncation=True,
                            add_special_tokens=True, return_attention_mask=True)
            used = sum(out.attention_mask[0])
            rows.append({"prompt": prompt, "max_len": length, "ids": out.input_ids[0][:used]})
    (folder / "prompts.json").write_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    print(f"{type(tokenizer).__name__}, {size} ids, {len(rows)} prompts")


if __name__ == "__main__":
    main()
