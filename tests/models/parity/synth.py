"""Deterministic stand-in weights and inputs: each value follows from a tensor's name and shape alone.

Both sides of a parity check build the same numbers from this file, so a fixture holds only answers.
"""

import zlib

import numpy as np


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The float32 stand-in for the parameter `name` of a PyTorch state dict.

    Convolution and linear weights (2 or more axes, output axis first) are He-normal; per-channel
    scales, gains and running variances are uniform in [0.5, 1.5); all else is normal with deviation 0.1.
    """
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    if len(shape) >= 2 and np.prod(shape[1:]) > 1:
        fan_in = int(np.prod(shape[1:]))
        return (rng.standard_normal(shape) * np.sqrt(2.0 / fan_in)).astype(np.float32)
    if name.endswith(("weight", "gamma", "gain", "scale", ".v", "running_var")):
        return np.asarray(rng.uniform(0.5, 1.5, shape), np.float32)
    return np.asarray(rng.standard_normal(shape) * 0.1, np.float32)


def images(batch: int, height: int, width: int, channels: int = 3) -> np.ndarray:
    """A float32 NHWC batch of smooth, image-like input, about zero mean and unit deviation."""
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(f"{batch}x{height}x{width}x{channels}".encode())))
    coarse = rng.standard_normal((batch, height // 8 + 2, width // 8 + 2, channels))
    smooth = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
    return (0.7 * smooth + 0.7 * rng.standard_normal((batch, height, width, channels))).astype(np.float32)


def labels(batch: int, classes: int) -> np.ndarray:
    """int32 class labels, spread over the classes."""
    return (np.arange(batch, dtype=np.int32) * 7919 + 13) % classes
