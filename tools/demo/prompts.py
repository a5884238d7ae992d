"""Writes prompts.json: prompts about combinations of shape, colour and direction that training never saw."""
import json
import random

from common import HERE
from data import COLOURS, DIRECTIONS, SHAPES, caption, held_out, sample_scene

COUNT = 48


def combinations(rng):
    """Every held-out combination once, in an order that mixes them, then again."""
    held = [(s, c, d) for s in SHAPES for c in COLOURS for d in DIRECTIONS if held_out(s, c, d)]
    while True:
        rng.shuffle(held)
        yield from held


def scene_of(rng, wanted):
    """A scene of a combination, without a size, so that captions name none."""
    while True:
        scene = sample_scene(rng, holding_out=False)
        if (scene.shape, scene.colour, scene.motion) == wanted and scene.size is None:
            return scene


def main():
    rng = random.Random("prompts")
    rows = []
    for wanted in combinations(rng):
        text, named = caption(scene_of(rng, wanted), rng, drop=0)
        if named["background"] or any(text == row["prompt"] for row in rows):
            continue
        rows.append({"prompt": text, **dict(zip(("shape", "colour", "direction"), wanted))})
        if len(rows) == COUNT:
            break
    (HERE / "prompts.json").write_text("[\n" + ",\n".join("  " + json.dumps(row) for row in rows) + "\n]\n")
    print(len(rows), "prompts,", len({tuple(list(r.values())[1:]) for r in rows}), "combinations")


if __name__ == "__main__":
    main()
