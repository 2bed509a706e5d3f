"""Time random calls of the public functions against XLA's own forms: kinds of layers that no table of shapes has.

Run: `PYTHONPATH=. python experiments/benchmarks/random_ops.py --kinds depthwise max_pool --seconds 300 --seed 7`

One line a call, and how many times faster than XLA's form ours is: forward, and the gradient of each array. Then, for
each kind and direction, how many calls there were, their geometric mean, how many were below 0.95 and 0.8, and the
least.
"""

import functools
import math
import statistics
import time

import alternate
import jax
import jax.numpy as jnp
import numpy as np
import random_convs
import tyro

import jaxconv.functional as F
from jaxconv.functional.lowering import plain

_CHANNELS = (1, 3, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_WINDOWS = (1, 2, 3, 3, 3, 4, 5, 7, 9, 11, 31)
_SIDES = (4, 7, 8, 13, 14, 16, 17, 28, 31, 32, 35, 53, 56, 64, 112)
_CONVS = {  # the dimensions, and what strides and dilations are drawn from
    "line": (1, (1, 1, 2), (1,)),
    "plane": (2, (1, 1, 2, 3), (1,)),
    "volume": (3, (1, 1, 2), (1,)),
    "dilated": (2, (1, 1, 1, 2), (2, 4, 6)),
    "grouped": (2, (1, 1, 2), (1,)),
    "depthwise": (2, (1, 1, 2), (1,)),
    "depthwise_line": (1, (1, 1, 2), (1,)),
    "depthwise_volume": (3, (1, 1, 2), (1,)),
}
_POOLS = {
    "max_pool": (F.max_pool, plain.max_pool),
    "avg_pool": (functools.partial(F.avg_pool, count_include_pad=True), plain.sum_pool),
    "l2_pool": (F.lp_pool, lambda x, **s: jnp.sqrt(plain.sum_pool(x * x, **s))),
}


def main(kinds: tuple[str, ...] = (*_CONVS, *_POOLS), seconds: float = 300, seed: int = 0) -> None:
    """Print the table.

    Args:
        kinds: what is drawn.
        seconds: how long.
        seed: of the draws.
    """
    print(alternate.setting())
    rng, start, found = np.random.default_rng(seed), time.perf_counter(), {}
    while time.perf_counter() - start < seconds:
        kind = str(rng.choice(kinds))
        if not (drawn := _conv(rng, kind) if kind in _CONVS else _pool(rng, kind)):
            continue
        shapes, text, ours, theirs = drawn
        ratios = dict(_contests(shapes, ours, theirs))
        print(kind, *shapes, text, *(f"{name} {ratio:.2f}" for name, ratio in ratios.items()), flush=True)
        for name, ratio in ratios.items():
            found.setdefault((kind, name), []).append(ratio)
    for (kind, name), ratios in sorted(found.items()):
        mean, below = (
            statistics.geometric_mean(ratios),
            [sum(ratio < limit for ratio in ratios) for limit in (0.95, 0.8)],
        )
        print(f"{kind} {name}: {len(ratios)}, mean {mean:.2f}, below {below}, least {min(ratios):.2f}")


def _conv(rng, kind):
    """Shapes, settings as text, and both functions; None where there is too much work, too little, or no position."""
    rank, strides, dilations = _CONVS[kind]
    pick = functools.partial(_pick, rng)
    n, side = pick((1, 2, 4, 8, 16, 32)), pick((50, 128, 400, 1000, 4000) if rank == 1 else _SIDES)
    space = (pick((4, 8, 16)), side, side) if rank == 3 else (side,) * rank
    window = tuple(pick(_WINDOWS[: (11, 10, 5)[rank - 1]]) for _ in space)
    window = window if rng.random() < 0.3 else (max(window),) * rank
    stride, dilation, groups, c, k = pick(strides), pick(dilations), 1, pick(_CHANNELS), pick(_CHANNELS[2:])
    if kind == "grouped":
        groups = pick((2, 4, 8, 16, 32, 64))
        c, k = (groups * pick((2, 4, 8, 16, 32)) for _ in range(2))
    elif kind.startswith("depthwise"):
        groups = c = pick((16, 32, 48, 96, 144, 240, 384, 768))
        k = c * pick((1, 1, 1, 1, 2, 4))
    reach = [dilation * (w - 1) for w in window]
    padding = tuple((r // 2, r - r // 2) if rng.random() < 0.85 else (0, 0) for r in reach)
    out = [(s + low + high - r - 1) // stride + 1 for s, (low, high), r in zip(space, padding, reach)]
    work = n * math.prod(window) * math.prod(out) * k * c  # of XLA's kernel gradients also where there are groups
    largest = n * max(math.prod(space) * c, math.prod(out) * k)
    if min(out) < 1 or not 1e6 < work / groups < 4e8 or work > 1e9 or largest > 6e6:
        return None
    settings = dict(strides=(stride,) * rank, padding=padding, dilation=(dilation,) * rank, groups=groups)
    both = (functools.partial(f, **settings) for f in (F.conv, plain.conv))
    return ((n, *space, c), (*window, c // groups, k)), f"strides {stride} {padding} dilation {dilation}", *both


def _pool(rng, kind):
    """The same of a pool."""
    pick = functools.partial(_pick, rng)
    n, side, c = pick((1, 2, 8, 32)), pick(_SIDES), pick(_CHANNELS[1:])
    window = pick((2, 2, 3, 3, 4, 5, 7, 8, 9, 13))
    stride, padding = pick((1, 2, 2, 3, window)), pick((0, 0, window // 2))
    if n * side**2 * c > 4e6 or side + 2 * padding < window or (n * side**2 * c * window**2) / stride**2 > 1e8:
        return None
    settings = dict(window=(window,) * 2, strides=(stride,) * 2, padding=((padding,) * 2,) * 2)
    both = (functools.partial(f, **settings) for f in _POOLS[kind])
    return ((n, side, side, c),), f"window {window} strides {stride} padding {padding}", *both


def _pick(rng, values):
    return int(rng.choice(values))


def _contests(shapes, ours, theirs):
    """Each direction, and how many times faster ours is."""
    rng = np.random.default_rng(0)
    arrays = [jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in shapes]
    dy = jnp.asarray(rng.standard_normal(jax.eval_shape(theirs, *arrays).shape), jnp.float32)
    yield "forward", _ratio(ours, theirs, arrays)
    for number, name in zip(range(len(arrays)), ("input", "kernel")):

        def gradient(function, *arrays, number=number):
            return jax.vjp(function, *arrays[:-1])[1](arrays[-1])[number]

        yield name, _ratio(functools.partial(gradient, ours), functools.partial(gradient, theirs), [*arrays, dy])


def _ratio(ours, theirs, arrays):
    calls = {name: random_convs.compiled(f, arrays, {}) for name, f in (("ours", ours), ("lax", theirs))}
    return alternate.compare(calls, rounds=3, block_milliseconds=8, limit_seconds=3).ratio("lax", "ours")


if __name__ == "__main__":
    tyro.cli(main)
