"""Draws the training curves of RUN/*.jsonl into curves.svg: one panel a network, figures over minutes."""
import json

from common import HERE, RUN

PANELS = (("vae", "psnr", "autoencoder: signal to noise, dB"), ("text", "right", "text encoder: captions read without a fault"),
          ("dit", "loss", "transformer: squared error of the flow"))
WIDTH, HEIGHT, MARGIN = 300, 200, 46


def panel(name, key, title, left):
    rows = [json.loads(line) for line in (RUN / f"{name}.jsonl").read_text().splitlines()]
    minutes, values = [r["seconds"] / 60 for r in rows], [r[key] for r in rows]
    low, high = min(values), max(values)
    x = lambda v: left + MARGIN + v / minutes[-1] * (WIDTH - MARGIN - 10)
    y = lambda v: HEIGHT - 30 - (v - low) / (high - low) * (HEIGHT - 64)
    line = " ".join(f"{x(m):.1f},{y(v):.1f}" for m, v in zip(minutes, values))
    text = lambda at, up, words, anchor: f'<text x="{at:.1f}" y="{up:.1f}" text-anchor="{anchor}">{words}</text>'
    return "\n".join((
        text(left + WIDTH / 2, 18, title, "middle"),
        f'<path d="M{x(0)} {y(high):.1f}V{y(low):.1f}H{x(minutes[-1])}" fill="none" stroke="#888"/>',
        text(x(0) - 4, y(high) + 4, f"{high:.3g}", "end"), text(x(0) - 4, y(low) + 4, f"{low:.3g}", "end"),
        text(x(minutes[-1]), HEIGHT - 12, f"{minutes[-1]:.0f} min, {rows[-1]['step']} steps", "end"),
        f'<polyline points="{line}" fill="none" stroke="#1f6fb4" stroke-width="1.5"/>'))


def main():
    panels = [panel(*p, i * WIDTH) for i, p in enumerate(PANELS)]
    (HERE / "curves.svg").write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{3 * WIDTH}" height="{HEIGHT}" font-family="sans-serif" '
        f'font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(panels) + "\n</svg>\n")


if __name__ == "__main__":
    main()
