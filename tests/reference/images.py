"""tests/goldens/images.safetensors: pictures resized and normalised by Pillow, torch, transformers and diffusers.

Pillow 13.0.0 beside the versions of common.py.
"""
import numpy as np
import torch
from diffusers.video_processor import VideoProcessor
from PIL import Image
from torch.nn.functional import interpolate
from transformers import CLIPImageProcessorPil
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from common import save

torch.set_num_threads(1)
CLIP_SIZE = 28
FILTERS = {"bicubic": Image.Resampling.BICUBIC, "lanczos": Image.Resampling.LANCZOS}
SIZES = {"wide": [(11, 19), (46, 50), (3, 5), (23, 90), (7, 37), (64, 16), (23, 37), (9, 40), (9, 31), (9, 30)], "strip": [(3, 224), (2, 640)]}

COVERED = {
    "wide": [(16, 32), (48, 64), (32, 32), (96, 16)],
    "tall": [(16, 32), (64, 16), (8, 9)],
    "strip": [(3, 7), (10, 20)],
    "even": [(3, 4), (1, 1), (5, 7), (7, 9), (8, 12)],  # most of them scale a side to a half
}


def picture(seed, height, width):
    """Soft shapes with noise and hard black and white patches, whose filtered edges leave the range."""
    g = torch.Generator("cpu").manual_seed(seed)
    soft = interpolate(torch.rand(1, 3, 4, 5, generator=g), size=(height, width), mode="bilinear")[0]
    noisy = soft * 255 + 20 * torch.randn(3, height, width, generator=g)
    noisy[:, : height // 3, : width // 4] = 255
    noisy[:, height // 2 :, width // 2 : width * 3 // 4] = 0
    return noisy.clamp(0, 255).byte().permute(1, 2, 0).contiguous()


def planes(rgb):
    return (rgb.permute(2, 0, 1).float() / 255).sub_(0.5).div_(0.5)


def bicubic(x, height, width):
    return interpolate(x[None], size=(height, width), mode="bicubic", align_corners=False)[0]


def clip_official(rgb):
    x = bicubic(planes(rgb), CLIP_SIZE, CLIP_SIZE) * 0.5 + 0.5
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (OPENAI_CLIP_MEAN, OPENAI_CLIP_STD))
    return (x - mean) / std


def cover(image, height, width):
    """Wan 2.2 TI2V's first frame: scaled until it covers the frame, the middle cut out."""
    scale = max(width / image.width, height / image.height)
    scaled = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    left, top = (scaled.width - width) // 2, (scaled.height - height) // 2
    return torch.from_numpy(np.array(scaled.crop((left, top, left + width, top + height))))


def main():
    pictures = {"wide": picture(1, 23, 37), "tall": picture(2, 41, 17), "strip": picture(3, 5, 601),
                "even": picture(4, 8, 12)}
    processor = CLIPImageProcessorPil(size={"shortest_edge": CLIP_SIZE},
                                      crop_size={"height": CLIP_SIZE, "width": CLIP_SIZE})
    video = VideoProcessor(vae_scale_factor=8)
    tensors = dict(pictures)
    for name, rgb in pictures.items():
        image = Image.fromarray(rgb.numpy())
        for height, width in SIZES.get(name, []):
            size = f"{name}.{height}x{width}"
            tensors[f"torch.{size}"] = bicubic(planes(rgb), height, width)
            for filter_name, resample in FILTERS.items():
                resized = np.array(image.resize((width, height), resample))
                tensors[f"{filter_name}.{size}"] = torch.from_numpy(resized)
        for height, width in COVERED[name]:
            tensors[f"cover.{name}.{height}x{width}"] = cover(image, height, width)
        if name in ("strip", "even"):
            continue
        tensors[f"clip.{name}"] = clip_official(rgb)
        tensors[f"clip_processor.{name}"] = processor(images=image, return_tensors="pt").pixel_values[0]
        tensors[f"video_processor.{name}"] = video.preprocess(image, height=32, width=48)[0]
    # Integers are written as f32, which holds every byte.
    save("images", {key: t.float() for key, t in tensors.items()})


if __name__ == "__main__":
    main()
