"""Camera conditioning of LingBot-World on real paths, in numpy and scipy: interpolation with scipy's Slerp, steps from
homogeneous matrices, rays and their packing with whole-array operations; all in float64 up to the rays, once more in
float32 as the official code has it, and the key helper's poses.

numpy 2.4.6, scipy 1.17.1, torch 2.15.0.
"""
import pathlib

import numpy as np
import torch
from scipy.spatial.transform import Rotation, Slerp

from common import save

PATHS = pathlib.Path(__file__).resolve().parent.parent / "data" / "camera"
KEYS = "w-3,iw-1,none-5,dl-20,sk-50,aij-4,wsi-2"
PATCH = 2


def load(name):
    return np.load(PATHS / name / "poses.npy"), np.load(PATHS / name / "intrinsics.npy")


def resample(poses, count):
    """`count` poses evenly over all of `poses`."""
    times = np.arange(len(poses))
    targets = np.linspace(0, len(poses) - 1, count)
    out = np.tile(np.eye(4), (count, 1, 1))
    out[:, :3, :3] = Slerp(times, Rotation.from_matrix(poses[:, :3, :3].astype(np.float64)))(targets).as_matrix()
    for axis in range(3):
        out[:, axis, 3] = np.interp(targets, times, poses[:, axis, 3].astype(np.float64))
    return out


def steps(poses, dtype):
    """Frame-to-frame poses, with translations in units of the longest."""
    poses = poses.astype(dtype)
    def invert(p):
        inverse = np.tile(np.eye(4, dtype=dtype), (len(p), 1, 1))
        inverse[:, :3, :3] = p[:, :3, :3].transpose(0, 2, 1)
        inverse[:, :3, 3] = -np.einsum("nij,nj->ni", inverse[:, :3, :3], p[:, :3, 3])
        return inverse

    relative = invert(poses[:1]) @ poses
    relative[0] = np.eye(4)
    out = relative.copy()
    out[1:] = invert(relative[:-1]) @ relative[1:]
    longest = np.linalg.norm(out[:, :3, 3], axis=-1).max()
    out[:, :3, 3] /= longest
    return out


def pack(images):
    """[frames, h, w, c] to [c * 64, frames, h / 8, w / 8], channel, then row, then column of a cell."""
    f, h, w, c = images.shape
    cells = images.reshape(f, h // 8, 8, w // 8, 8, c)
    return cells.transpose(5, 2, 4, 0, 1, 3).reshape(c * 64, f, h // 8, w // 8)


def rays(step, intrinsics, h, w, origins=True):
    fx, fy, cx, cy = intrinsics[0].astype(np.float64) * [w / 832, h / 480, w / 832, h / 480]
    u, v = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
    direction = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones_like(u)], -1)
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    turned = np.einsum("fij,hwj->fhwi", step[:, :3, :3], direction)
    if not origins:
        return turned
    origin = np.broadcast_to(step[:, None, None, :3, 3], turned.shape)
    return np.concatenate([origin, turned], -1)


def tokens(control):
    """Patches of 1 x 2 x 2 cells as rows: [tokens, channels * 4]."""
    unfolded = torch.nn.functional.unfold(
        torch.from_numpy(control).transpose(0, 1), kernel_size=PATCH, stride=PATCH)  # [f, c * 4, rows * columns]
    return unfolded.transpose(1, 2).flatten(0, 1)


def walk(text):
    """The key helper: poses after each frame, the identity first."""
    frames = [keys.replace("none", "") for part in text.split(",") for keys, n in [part.split("-")] for _ in range(int(n))]
    frames += [""] * (-(len(frames) - 1) % 4)
    rotation, position, pitch = Rotation.identity(), np.zeros(3), 0
    poses = [np.eye(4)]
    for keys in frames:
        up = 2 * (("i" in keys) - ("k" in keys))
        up = up if abs(pitch + up) <= 85 else 0
        pitch += up
        yaw = 2 * (("l" in keys) - ("j" in keys))
        rotation = Rotation.from_euler("y", yaw, degrees=True) * rotation * Rotation.from_euler("x", up, degrees=True)
        for axis, more, less in [((0, 0, 1), "w", "s"), ((1, 0, 0), "d", "a")]:
            flat = rotation.apply(axis) * [1, 0, 1]
            position = position + 0.05 * ((more in keys) - (less in keys)) * flat / (np.linalg.norm(flat) + 1e-6)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rotation.as_matrix(), position
        poses.append(pose)
    return np.stack(poses)


def main():
    torch.set_num_threads(1)
    tensors = {}
    for name in ["00", "01"]:
        poses, _ = load(name)
        latent = resample(poses, (len(poses) - 1) // 4 + 1)
        tensors[f"{name}.steps"] = steps(latent, np.float64)
        tensors[f"{name}.steps_f32"] = steps(latent.astype(np.float32), np.float32)
    poses, intrinsics = load("00")
    step = steps(resample(poses[:9], 3), np.float64)
    tensors["00.control"] = pack(rays(step, intrinsics, 16, 48))[None]
    poses, intrinsics = load("01")
    # Forty-two poses are eleven latent frames that fall between poses.
    tensors["01.uneven"] = steps(resample(poses[:42], 11), np.float64)
    step = steps(resample(poses[100:113], 4), np.float64)
    control = pack(rays(step, intrinsics[100:], 32, 16))
    tensors["01.control"] = control[None]
    tensors["01.tokens"] = tokens(control)[None]
    keys = np.random.default_rng(7).integers(0, 2, (13, 4))
    held = np.broadcast_to(keys[::4, None, None, :], (4, 32, 16, 4))
    directions = rays(step, intrinsics[100:], 32, 16, origins=False)
    tensors["01.keys"] = keys
    tensors["01.action_control"] = pack(np.concatenate([directions, held], -1))[None]
    tensors["walk"] = walk(KEYS)
    save("camera", {key: torch.as_tensor(np.ascontiguousarray(value)) for key, value in tensors.items()}, {"keys": KEYS})
    for name in ["00", "01"]:
        exact, single = tensors[f"{name}.steps"], tensors[f"{name}.steps_f32"]
        print(name, "float32 steps are off by", np.linalg.norm(single - exact) / np.linalg.norm(exact))


if __name__ == "__main__":
    main()
