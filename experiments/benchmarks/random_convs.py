"""Time random dense convolutions and their gradients against XLA's own forms: what the tables of `choice` do elsewhere.

Run: `PYTHONPATH=. python experiments/benchmarks/random_convs.py --strides 2 3 4 --seconds 150 --seed 22`

One line a configuration, and how many times faster than XLA's form ours is, for every direction in which the table
names a form ("-" where it names none); then the geometric mean, and how many were slower.
"""

import statistics
import time

import alternate
import jax
import jax.numpy as jnp
import numpy as np
import tyro

from jaxconv.functional.lowering import choice, cpu, plain, trilinear

_IMAGES, _SIDES = (1, 4, 8, 16, 32), (7, 8, 14, 16, 28, 32, 56, 64, 112)
_CHANNELS = (1, 3, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_WINDOWS = (1, 2, 3, 3, 3, 4, 5, 5, 7, 9, 11)
_MODULES = {"ours": trilinear, "lax": plain}


def main(strides: tuple[int, ...] = (1,), seconds: float = 150, seed: int = 0) -> None:
    """Print the table.

    Args:
        strides: what strides are drawn from.
        seconds: how long configurations are drawn.
        seed: of the draws.
    """
    print(alternate.setting())
    rng, start, ratios = np.random.default_rng(seed), time.perf_counter(), {}
    while time.perf_counter() - start < seconds:
        if not (drawn := draw(rng, strides)):
            continue
        texts = []
        for direction, ratio, other in _contests(*drawn):
            if ratio is not None:
                ratios.setdefault(direction, []).append(ratio)
            texts.append(f"{direction} {'-' if ratio is None else f'{ratio:.2f}'} ({other:.2f})")
        x, kernel, settings = drawn
        print(x, kernel, settings["strides"], settings["padding"], *texts, flush=True)
    for direction, found in ratios.items():
        slower = sum(ratio < 0.95 for ratio in found)
        print(f"{direction}: {len(found)}, mean {statistics.geometric_mean(found):.2f}, below 0.95: {slower}")


def draw(rng, strides, features=(), channels=(), images=()):
    """Shapes of input and kernel and the settings, or None where there is too much work, too little, or no position."""
    n, side, c = (int(rng.choice(values)) for values in (images or _IMAGES, _SIDES, channels or _CHANNELS))
    k, stride = int(rng.choice(features or _CHANNELS[2:])), int(rng.choice(strides))
    window = (int(rng.choice(_WINDOWS)),) * 2 if rng.random() < 0.8 else tuple(map(int, rng.choice((1, 3, 5, 7), 2)))
    padding = tuple(((w - 1) // 2,) * 2 if rng.random() < 0.85 else (0, 0) for w in window)
    work = 2 * n * (side / stride) ** 2 * window[0] * window[1] * c * k
    fits = all(w <= side + 2 * low for w, (low, _) in zip(window, padding))
    if not fits or not 2e6 < work < 1.2e9 or n * side**2 * max(c, k) > 6e6:
        return None
    settings = dict(strides=(stride,) * 2, padding=padding, dilation=(1, 1), groups=1)
    return (n, side, side, c), (*window, c, k), settings


def _contests(x, kernel, settings):
    """Each direction, how many times faster ours is (None where the program is XLA's), and the cores others used."""
    case = cpu._case(x, kernel, sharded=False, **settings)
    assert case is not None
    rng = np.random.default_rng(0)
    x, kernel = (jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in (x, kernel))
    dy = plain.conv(x, kernel, **settings)
    space, window = {"space": x.shape[1:-1]}, {"window": kernel.shape[:-2]}
    for direction, name, arrays, more, table in (
        ("forward", "conv", (x, kernel), {}, choice.CONV),
        ("input", "conv_input_grad", (dy, kernel), space, choice.INPUT_GRAD),
        ("kernel", "conv_kernel_grad", (x, dy), window, choice.KERNEL_GRAD),
    ):
        if choice.pick(table, case) is None:
            yield direction, None, 0.0
            continue
        calls = {key: compiled(getattr(m, name), arrays, settings | more) for key, m in _MODULES.items()}
        result = alternate.compare(calls, rounds=3, block_milliseconds=8, limit_seconds=4)
        yield direction, result.ratio("lax", "ours"), result.other_cores


def compiled(function, arrays, settings):
    """A call of the compiled function on the arrays, which waits for the result."""
    program = jax.jit(lambda *arrays: function(*arrays, **settings)).lower(*arrays).compile()
    return lambda: jax.block_until_ready(program(*arrays))


if __name__ == "__main__":
    tyro.cli(main)
