"""Times diffusers and `wan` on the same random checkpoint, in turns, and prints their ratios.

    compare.py --wan target/release [--what forward,decode,...] [--rounds 5] [--json FILE] [--work DIR]

Both programs load the same full-size T2V-1.3B folder (written on first use: 8 GB; a text encoder of two layers at full
width) and get the same inputs; each turn is one run of one, then one of the other. Wall clock and processor time are
medians with the least and the most; the relative L2 distance of the two results shows that both did the same work. On
a machine with CUDA diffusers runs there in bf16 and `wan` on the adapter.

    forward       one pass of the transformer over 512 tokens (5 frames of 256x256), 20 rows of text
    forward-3120  the same over 3,120 tokens (5 frames of 480x832)
    forward-streamed, forward-3120-streamed
                  the same, blocks read out of the file in every pass (`--offload block`)
    decode        the autoencoder, latent 2x32x32 to 5 frames of 256x256
    encode        the way back
    text          the text encoder's two layers over 512 tokens
    start         `wan generate`: from its start to the first step, and the step (no peer)
"""
import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "tests" / "reference"))

import torch

TEXT_ROWS, TEXT_LEN, TEXT_DIM = 20, 512, 4096
LATENTS = {"forward": (2, 32, 32), "forward-3120": (2, 60, 104), "decode": (2, 32, 32), "encode": (2, 32, 32)}


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wan", type=pathlib.Path, required=True, help="folder with the binaries `wan` and `peer`")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("peers-data"), help="for checkpoint and inputs")
    parser.add_argument("--what", default="forward,decode,encode,text,start")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1e9, help="no more rounds of one thing when these are over")
    parser.add_argument("--warm", type=int, default=1, help="runs before those that count")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=pathlib.Path, help="one JSON object a line is appended there")
    parser.add_argument("--prepare", action="store_true", help="write the checkpoint and stop")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def cuda():
    return torch.cuda.is_available()


def write_checkpoint(folder):
    """A diffusers folder of random weights at full size."""
    if (folder / "model_index.json").exists():
        return
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
    from full_size import write_index, write_model
    from tokenizer import write_tokenizer
    from transformers import UMT5Config, UMT5EncoderModel

    write_model(folder / "transformer", lambda: WanTransformer3DModel(
        num_attention_heads=12, num_layers=30, ffn_dim=8960, text_dim=TEXT_DIM), torch.float32)
    write_model(folder / "vae", AutoencoderKLWan, torch.float32)
    UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0).save_pretrained(
        folder / "scheduler")
    config = UMT5Config(vocab_size=write_tokenizer(folder / "tokenizer"), d_model=TEXT_DIM, d_kv=64, d_ff=10240,
                        num_heads=64, num_layers=2, feed_forward_proj="gated-gelu")
    torch.manual_seed(4)
    UMT5EncoderModel(config).save_pretrained(folder / "text_encoder")
    write_index(folder)


def latent(what):
    return LATENTS.get(what.removesuffix("-streamed"), ())


def inputs(what):
    """The tensors of one comparison, as both programs get them."""
    generator = torch.Generator("cpu").manual_seed(7)
    draw = lambda *shape: torch.randn(shape, generator=generator)
    if what == "text":
        return {"x": draw(1, TEXT_LEN, TEXT_DIM)}
    f, h, w = latent(what)
    if what == "encode":
        return {"x": draw(1, 3, 4 * f - 3, 8 * h, 8 * w).clamp(-1, 1)}
    if what == "decode":
        return {"x": draw(1, 16, f, h, w)}
    return {"x": draw(1, 16, f, h, w), "text": draw(1, TEXT_ROWS, TEXT_DIM)}


def peer(what, folder):
    """A function that does diffusers' part once and returns the result."""
    tensors = inputs(what)
    x = tensors["x"]
    if what == "text":
        from transformers import UMT5EncoderModel

        model = UMT5EncoderModel.from_pretrained(folder / "text_encoder", dtype=torch.float32).eval()
        return lambda: model(inputs_embeds=x).last_hidden_state
    if what in ("decode", "encode"):
        from diffusers import AutoencoderKLWan

        vae = AutoencoderKLWan.from_pretrained(folder, subfolder="vae", torch_dtype=torch.float32).eval()
        mean = torch.tensor(vae.config.latents_mean).view(1, -1, 1, 1, 1)
        std = torch.tensor(vae.config.latents_std).view(1, -1, 1, 1, 1)
        if what == "encode":
            del vae.decoder
            return lambda: (vae.encode(x).latent_dist.mode() - mean) / std
        del vae.encoder
        return lambda: vae.decode(x * std + mean).sample
    from diffusers import WanTransformer3DModel

    device, dtype = ("cuda", torch.bfloat16) if cuda() else ("cpu", torch.float32)
    model = WanTransformer3DModel.from_pretrained(folder, subfolder="transformer", torch_dtype=dtype).to(device)
    text = torch.cat([tensors["text"], torch.zeros(1, TEXT_LEN - TEXT_ROWS, TEXT_DIM)], 1).to(device, dtype)
    x, t = x.to(device, dtype), torch.tensor([500], device=device)
    return lambda: model(x, t, text, return_dict=False)[0].float().cpu()


def work(args):
    """Answers each line on stdin with one run and its cost, and writes the last result."""
    torch.set_num_threads(args.threads)
    run = peer(args.worker, args.work / "model")
    result = None
    with torch.inference_mode():
        for _ in sys.stdin:
            wall, cpu = time.perf_counter(), time.process_time()
            result = run()
            cost = {"seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - cpu}
            cost["peak_memory_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            print(json.dumps(cost), flush=True)
    result.contiguous().numpy().tofile(args.work / "theirs.bin")


class Turns:
    """A program that does one run whenever it is told to."""

    def __init__(self, command, threads):
        environment = {**os.environ, "RAYON_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        self.costs = []

    def run(self, counts):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args[0]} ended early")
        if counts:
            self.costs.append(json.loads(line))

    def end(self):
        self.process.stdin.close()
        if self.process.wait():
            raise SystemExit(f"{self.process.args[0]} failed")


def of(costs, key):
    values = [cost[key] for cost in costs if cost.get(key) is not None]
    return {"median": statistics.median(values), "least": min(values), "most": max(values)} if values else None


def distance(folder):
    ours, theirs = (torch.from_file(str(folder / f"{name}.bin"), size=(folder / f"{name}.bin").stat().st_size // 4)
                    for name in ("ours", "theirs"))
    return ((ours - theirs).double().norm() / theirs.double().norm()).item()


def compare(args, what):
    for name, value in inputs(what).items():
        value.numpy().tofile(args.work / f"{name}.bin")
    ours = [args.wan / "peer", "--what", what.split("-")[0], "--model", args.work / "model", "--data", args.work]
    ours += ["--rows", str(TEXT_LEN if what == "text" else TEXT_ROWS)]
    ours += ["--latent", ",".join(map(str, latent(what)))] if latent(what) else []
    ours += ["--offload", "block"] if what.endswith("-streamed") else []
    ours += ["--device", "wgpu"] if cuda() else []
    theirs = [sys.executable, __file__, "--wan", args.wan, "--work", args.work, "--worker", what,
              "--threads", str(args.threads)]
    programs = {"ours": Turns(list(map(str, ours)), args.threads), "theirs": Turns(list(map(str, theirs)), args.threads)}
    begun = time.perf_counter()
    for round_ in range(args.warm + args.rounds):
        for program in programs.values():
            program.run(counts=round_ >= args.warm)
        each = (time.perf_counter() - begun) / (round_ + 1)
        if round_ >= args.warm and each * (round_ + 2) > args.seconds:
            break
    for program in programs.values():
        program.end()
    keys = ("seconds", "processor_seconds", "peak_memory_bytes", "anonymous_memory_bytes")
    row = {name: {key: of(program.costs, key) for key in keys} for name, program in programs.items()}
    row["ratio"] = {key: row["ours"][key]["median"] / row["theirs"][key]["median"] for key in keys[:3]}
    return {"what": what, "rounds": len(programs["ours"].costs), **row, "relative_l2": distance(args.work)}


def start(args):
    """Seconds of `wan generate` before its only step, of the step, and after it, from the page cache."""
    rounds = []
    for round_ in range(args.warm + args.rounds):
        command = [args.wan / "wan", "generate", "--model", args.work / "model", "--prompt", "a red fox", "--size",
                   "256x256", "--frames", "5", "--steps", "1", "--guidance", "1", "--json", "--overwrite", "-o",
                   args.work / "out.mp4"]
        command += [] if cuda() else ["--device", "cpu"]
        wall = time.perf_counter()
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
        wall, report = time.perf_counter() - wall, json.loads(done.stdout)
        step = report["step_seconds"][0]
        after = report["seconds"]["decode"] + report["seconds"]["encode"]
        cost = {"step": step, "before": wall - step - after, "peak_memory_bytes": report["peak_memory_bytes"]}
        rounds += [cost] if round_ >= args.warm else []
    return {"what": "start", "rounds": args.rounds, "ours": {key: of(rounds, key) for key in rounds[0]}}


def main():
    args = options()
    args.work.mkdir(parents=True, exist_ok=True)
    if args.worker:
        return work(args)
    write_checkpoint(args.work / "model")
    if args.prepare:
        return
    import diffusers

    about = {"machine": os.environ.get("WAN_MACHINE"), "commit": os.environ.get("WAN_COMMIT"), "threads": args.threads,
             "peer": f"diffusers {diffusers.__version__}, torch {torch.__version__}, " + ("cuda bf16" if cuda() else "cpu f32")}
    for what in args.what.split(","):
        row = {**(start(args) if what == "start" else compare(args, what)), **about}
        line = json.dumps(row)
        print(line, flush=True)
        if args.json:
            with args.json.open("a") as file:
                file.write(line + "\n")
        if "ratio" in row:
            ratio = row["ratio"]
            print(f"{what}: {ratio['seconds']:.2f}x diffusers' time, {ratio['processor_seconds']:.2f}x its processor time, "
                  f"{ratio['peak_memory_bytes']:.2f}x its memory, relative L2 {row['relative_l2']:.1e}", file=sys.stderr)


if __name__ == "__main__":
    main()
