"""Captioned clips of one coloured shape that moves, drawn from a seed.

A `Scene` says what a clip shows; `caption` says it in words, `render` draws it as a tensor
[3, FRAMES, SIZE, SIZE] in -1..1. `python data.py OUT.png` draws a sheet of examples.
"""
import dataclasses
import hashlib
import math
import random
import sys

import torch

SIZE = 96
FRAMES = 17

COLOURS = {"red": (222, 42, 38), "green": (46, 176, 66), "blue": (44, 92, 232), "yellow": (244, 214, 40),
           "purple": (150, 54, 200), "white": (244, 244, 244)}
SHAPES = ("ball", "square", "triangle", "star", "ring")
# Steps of x (to the right) and y (down).
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1), "up-left": (-1, -1),
              "up-right": (1, -1), "down-left": (-1, 1), "down-right": (1, 1)}
MOTIONS = (*DIRECTIONS, "bounce", "grow", "shrink", "spin")
BACKGROUNDS = {"black": (10, 10, 12), "gray": (92, 94, 98), "navy": (16, 24, 62), "green": (12, 50, 40),
               "sand": (198, 186, 158)}
SIZES = {"small": (0.145, 0.155), "big": (0.245, 0.255)}
ANY_SIZE = (0.19, 0.21)

COLOUR_WORDS = {"red": ("red", "crimson", "scarlet", "bright red"), "green": ("green", "emerald", "bright green"),
                "blue": ("blue", "azure", "bright blue"), "yellow": ("yellow", "golden", "bright yellow"),
                "purple": ("purple", "violet", "bright purple"), "white": ("white", "snow-white", "bright white")}
SHAPE_WORDS = {"ball": ("ball", "ball", "circle", "disc", "sphere", "dot"), "square": ("square", "square", "box", "block", "cube"),
               "triangle": ("triangle", "triangle", "triangular shape", "pyramid"), "star": ("star", "star", "five-pointed star"),
               "ring": ("ring", "ring", "hoop", "donut")}
ANYTHING = ("shape", "thing", "object", "figure")
BACKGROUND_WORDS = {"black": ("black", "dark"), "gray": ("gray", "grey"), "navy": ("dark blue", "navy", "navy blue"),
                    "green": ("dark green", "deep green"), "sand": ("sand", "beige", "light", "bright")}
SIZE_WORDS = {"small": ("small", "little", "tiny"), "big": ("big", "large", "huge")}

GO = (("moves", "moving"), ("goes", "going"), ("travels", "traveling"), ("slides", "sliding"), ("glides", "gliding"),
      ("rolls", "rolling"), ("drifts", "drifting"), ("flies", "flying"), ("heads", "heading"), ("floats", "floating"),
      ("runs", "running"), ("is moving", "moving"))
WHERE = {
    "left": ("left", "to the left", "to the left", "leftward", "leftwards", "towards the left", "toward the left side",
             "from right to left", "from the right to the left"),
    "right": ("right", "to the right", "to the right", "rightward", "rightwards", "towards the right",
              "toward the right side", "from left to right", "from the left to the right"),
    "up": ("up", "upward", "upwards", "to the top", "towards the top", "from bottom to top", "straight up"),
    "down": ("down", "downward", "downwards", "to the bottom", "towards the bottom", "from top to bottom",
             "straight down"),
}
VERBS = {
    "up": (("rises", "rising"), ("ascends", "ascending"), ("climbs", "climbing"), ("goes up", "going up")),
    "down": (("falls", "falling"), ("drops", "dropping"), ("sinks", "sinking"), ("descends", "descending"),
             ("falls down", "falling down")),
    "bounce": (("bounces", "bouncing"), ("bounces up and down", "bouncing up and down"), ("hops", "hopping"),
               ("jumps up and down", "jumping up and down")),
    "grow": (("grows", "growing"), ("gets bigger", "getting bigger"), ("expands", "expanding"),
             ("becomes larger", "becoming larger"), ("swells", "swelling")),
    "shrink": (("shrinks", "shrinking"), ("gets smaller", "getting smaller"), ("contracts", "contracting"),
               ("becomes smaller", "becoming smaller")),
    "spin": (("spins", "spinning"), ("rotates", "rotating"), ("turns around", "turning around"),
             ("spins in place", "spinning in place"), ("twirls", "twirling")),
}
DIAGONAL = ("{v} and {h}", "{v} and to the {h}", "diagonally {v} and {h}", "diagonally {v} to the {h}", "{v}-{h}",
            "to the {V} {h}", "towards the {V} {h} corner", "to the {V} {h} corner")
CORNER = {"up": ("upper", "top"), "down": ("lower", "bottom")}
MANNER = ("slowly", "smoothly", "steadily", "quickly", "gently")
LEAD = ("a video of ", "a clip of ", "an animation of ", "we see ", "here is ", "there is ")
JUNK = """cat dog house tree river city people dancing walking forest mountain blurry low quality worst ugly static
text watermark subtitles painting picture deformed hands overexposed cinematic realistic detailed 4k photo of a the in
with and on car boat sea sky man woman child robot fox snow running street night light camera style jpeg artifacts
morning grass flower bird music game dinner""".split()


@dataclasses.dataclass(frozen=True)
class Scene:
    """What a clip shows. Lengths are in parts of the frame's side, angles in radians."""
    shape: str
    colour: str
    motion: str
    background: str
    size: str | None
    radius: float
    centre: tuple[float, float]
    travel: float
    turn: float
    tilt: float
    phase: float
    ramp: float
    rgb: tuple[float, float, float]
    ground: tuple[float, float, float]


def held_out(shape, colour, motion):
    """Whether training never sees this combination: about one in seven."""
    return hashlib.sha256(f"{shape} {colour} {motion}".encode()).digest()[0] < 37


def possible(shape, colour, motion, background):
    """Spinning a round shape shows nothing, and white or yellow on sand little."""
    return not (motion == "spin" and shape in ("ball", "ring")) and not (
        background == "sand" and colour in ("white", "yellow"))


def sample_scene(rng, holding_out=True):
    while True:
        what = [rng.choice(list(k)) for k in (SHAPES, COLOURS, MOTIONS, BACKGROUNDS)]
        if possible(*what) and not (holding_out and held_out(*what[:3])):
            break
    shape, colour, motion, background = what
    size = rng.choice(list(SIZES)) if rng.random() < 0.3 and motion not in ("grow", "shrink") else None
    jitter = lambda rgb, by: tuple(min(255, max(0, c + rng.uniform(-by, by))) / 127.5 - 1 for c in rgb)
    return Scene(
        shape, colour, motion, background, size,
        radius=rng.uniform(*SIZES.get(size, ANY_SIZE)),
        centre=(rng.uniform(0.42, 0.58), rng.uniform(0.42, 0.58)),
        travel=rng.uniform(0.23, 0.25), turn=rng.choice((-1, 1)) * rng.uniform(0.6, 0.7) * math.pi,
        tilt=rng.uniform(-0.03, 0.03), phase=rng.uniform(-0.05, 0.05), ramp=rng.uniform(-0.02, 0.02),
        rgb=jitter(COLOURS[colour], 4), ground=jitter(BACKGROUNDS[background], 2))


def path(scene, t):
    """Centre x and y, radius and angle at the times `t` (0..1)."""
    x, y = (torch.full_like(t, c) for c in scene.centre)
    radius, angle = torch.full_like(t, scene.radius), torch.full_like(t, scene.tilt)
    if scene.motion in DIRECTIONS:
        dx, dy = DIRECTIONS[scene.motion]
        along = (2 * t - 1) * scene.travel
        x = 0.5 + dx * along if dx else x
        y = 0.5 + dy * along if dy else y
    elif scene.motion == "bounce":
        y = 0.71 - 1.3 * scene.travel * torch.cos(math.pi * (1.5 + scene.phase) * t).abs()
    elif scene.motion in ("grow", "shrink"):
        s = t if scene.motion == "grow" else 1 - t
        radius = scene.radius * (0.6 + 0.8 * s)
    elif scene.motion == "spin":
        angle = angle + scene.turn * t
    return x, y, radius, angle


def distance(shape, x, y, r):
    """Signed distance to the outline of `shape` around 0; near the outline exact enough to smooth its edge."""
    if shape == "ball":
        return (x * x + y * y).sqrt() - r
    if shape == "ring":
        return ((x * x + y * y).sqrt() - 0.78 * r).abs() - 0.27 * r
    if shape == "square":
        return torch.maximum(x.abs(), y.abs()) - 0.84 * r
    points, inner = (3, 0.5) if shape == "triangle" else (5, 0.42)
    outer = 1.15 * r
    sector = math.pi / points
    angle = torch.atan2(x, -y)
    fold = (angle - 2 * sector * torch.round(angle / (2 * sector))).abs()
    length = (x * x + y * y).sqrt()
    px, py = length * fold.cos() - outer, length * fold.sin()
    # The side from a tip to the notch half a sector further.
    ex, ey = outer * (inner * math.cos(sector) - 1), outer * inner * math.sin(sector)
    return (py * ex - px * ey) / (ex * ex + ey * ey).sqrt() * -1


def render(scene, frames=FRAMES, size=SIZE):
    t = torch.linspace(0, 1, frames).view(-1, 1, 1)
    x, y, radius, angle = path(scene, t)
    at = (torch.arange(size) + 0.5) / size
    dx, dy = at.view(1, 1, -1) - x, at.view(1, -1, 1) - y
    c, s = angle.cos(), angle.sin()
    cover = (0.5 - size * distance(scene.shape, c * dx + s * dy, c * dy - s * dx, radius)).clamp(0, 1)
    shade = scene.ramp * (at - 0.5).view(1, 1, -1, 1)
    ground = torch.tensor(scene.ground).view(3, 1, 1, 1) + shade
    return (ground + cover * (torch.tensor(scene.rgb).view(3, 1, 1, 1) - ground)).clamp(-1, 1)


def motion_words(motion, rng):
    """(third person, participle) of a way to move."""
    if motion in VERBS and (motion not in WHERE or rng.random() < 0.5):
        return rng.choice(VERBS[motion])
    if motion in WHERE:
        where = rng.choice(WHERE[motion])
    else:
        v, h = motion.split("-")
        where = rng.choice(DIAGONAL).format(v=v, h=h, V=rng.choice(CORNER[v]))
    third, participle = rng.choice(GO)
    return f"{third} {where}", f"{participle} {where}"


def caption(scene, rng, drop=0.08):
    """(text, what it names): a sentence about `scene` that leaves each property out with probability `drop`."""
    named = {k: getattr(scene, k) if rng.random() >= drop else None for k in ("shape", "colour", "motion")}
    named["size"] = scene.size if rng.random() < 0.8 else None
    named["background"] = scene.background if rng.random() < 0.35 else None
    noun = rng.choice(SHAPE_WORDS[scene.shape] if named["shape"] else ANYTHING)
    colour = rng.choice(COLOUR_WORDS[scene.colour][:1] * 3 + COLOUR_WORDS[scene.colour]) if named["colour"] else ""
    size = rng.choice(SIZE_WORDS[scene.size]) if named["size"] else ""
    third, participle = motion_words(scene.motion, rng) if named["motion"] else ("", "")
    if third and rng.random() < 0.15:
        manner = rng.choice(MANNER)
        third, participle = (f"{third} {manner}", f"{participle} {manner}")
    words = lambda *parts: " ".join(p for p in parts if p)
    article = lambda text: ("an " if text[0] in "aeiou" else "a ") + text
    thing = words(size, colour, noun)
    a = rng.choice((article(thing), article(thing), "the " + thing, thing))
    forms = [words(a, third), words(a, third), words(a, participle), words(thing, participle),
             rng.choice(LEAD) + words(article(thing), participle),
             words(article(words(size, noun)), "that is" if colour else "", colour, "and" if colour and third else "that" if third else "", third),
             f"the {words(size, noun)}, {colour}, {third}" if colour and third else words(a, third),
             f"{thing}, {participle}" if participle else thing]
    text = rng.choice(forms)
    if named["background"]:
        ground = rng.choice(BACKGROUND_WORDS[scene.background])
        text += rng.choice((f" on a {ground} background", f" over a {ground} background", f", {ground} background"))
    if rng.random() < 0.2:
        text = text[0].upper() + text[1:]
    if rng.random() < 0.2:
        text += "."
    return text, named


def junk(rng):
    """A text about none of this, or none at all: what classifier-free dropout puts in a caption's place."""
    return " ".join(rng.choices(JUNK, k=rng.randint(1, 12))) if rng.random() < 0.4 else ""


def main():
    from PIL import Image

    rng = random.Random(0)
    rows = []
    for _ in range(12):
        scene = sample_scene(rng)
        print(caption(scene, rng)[0])
        rows.append(render(scene)[:, ::4].permute(0, 2, 1, 3).reshape(3, SIZE, -1))
    sheet = torch.cat([torch.cat(rows[i::2], 1) for i in range(2)], 2)
    Image.fromarray(((sheet.permute(1, 2, 0) + 1) * 127.5).byte().numpy()).save(sys.argv[1])


if __name__ == "__main__":
    main()
