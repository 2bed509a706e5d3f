"""Time every form of a convolution or gradient on random layers: what rows of `choice` for dense layers rest on.

Run: `PYTHONPATH=. python experiments/benchmarks/forms.py --direction kernel --seconds 100 --seed 5`

One line a layer: the row that holds for it, and how many times faster than XLA's form each form is, the chosen one with
a star ("-" where it is three times slower than the fastest). Then, for each row, how many layers it had, the geometric
mean of every form, and in how many layers that was below 0.95. Layers whose row has a form of its own, for windows side
by side or of whole strides, are passed over.
"""

import math
import time
from typing import Literal

import alternate
import jax.numpy as jnp
import numpy as np
import random_convs
import tyro

from jaxconv.functional.lowering import choice, columns, cpu, dense, phases, plain, when_filtered, winograd

_KERNEL = {
    "maps": dense.kernel_grad_maps,
    "rows": dense.kernel_grad_rows,
    "phases": phases.kernel_grad,
    "columns": columns.kernel_grad_columns,
    "swapped": dense.kernel_grad_swapped,
}
_INPUT = {
    "phases": phases.input_grad,
    "by phase": phases.input_grad_columns,
    "columns": columns.input_grad_columns,
}
_UNIT_INPUT = {"flipped": dense.input_grad_flipped, "columns": columns.input_grad_columns}
_FORWARD = {"gathered": columns.conv_gathered, "spread": columns.conv_spread}
_FILTERED = {
    "kernel": {"filtered": winograd.conv_kernel_grad_rows},
    "input": {"filtered": winograd.conv_input_grad_rows},
    "forward": {"filtered": winograd.conv_rows},
}


def main(
    direction: Literal["kernel", "input", "forward"] = "kernel",
    strides: tuple[int, ...] = (2, 2, 2, 3),
    features: tuple[int, ...] = (),
    channels: tuple[int, ...] = (),
    images: tuple[int, ...] = (),
    rows: tuple[str, ...] = (),
    seconds: float = 100,
    seed: int = 0,
) -> None:
    """Print the table.

    Args:
        direction: the gradient of the kernel, or of the input, or the convolution itself, for stride 1.
        strides: what strides are drawn from; for the input, several or 1 alone.
        features: what the number of features is drawn from; none means 8 to 512.
        channels: likewise; none means 1 to 512.
        images: likewise; none means 1 to 32.
        rows: names of conditions; only layers of theirs are timed. None means all.
        seconds: how long layers are drawn.
        seed: of the draws.
    """
    print(alternate.setting())
    forms, table = {
        "kernel": (_KERNEL, choice.KERNEL_GRAD),
        "input": (_UNIT_INPUT if set(strides) == {1} else _INPUT, choice.INPUT_GRAD),
        "forward": (_FORWARD, choice.CONV),
    }[direction]
    rng, start, found = np.random.default_rng(seed), time.perf_counter(), {}
    while time.perf_counter() - start < seconds:
        if not (drawn := random_convs.draw(rng, strides, features, channels, images)):
            continue
        x, kernel, settings = drawn
        row = _row(table, x, kernel, settings)
        name, form = (row.condition.__name__, row.form) if row else ("none", None)
        if form not in (None, *forms.values(), *_FILTERED[direction].values()) or (rows and name not in rows):
            continue
        case = cpu._case(x, kernel, sharded=False, **settings)
        fits = case is not None and when_filtered.filterable(case)
        # With strides that form computes something else, where it can at all.
        candidates = {key: one for key, one in forms.items() if key != "swapped" or set(settings["strides"]) == {1}}
        candidates |= _FILTERED[direction] if fits else {}
        ratios = _ratios(direction, candidates, x, kernel, settings)
        texts = (f"{key}{'*' * (form is one)} {_text(ratios[key])}" for key, one in candidates.items())
        print(x, kernel, settings["strides"], settings["padding"], name, *texts, flush=True)
        found.setdefault(name, []).append(ratios)
    for name, layers in found.items():
        keys = dict.fromkeys(key for ratios in layers for key in ratios)
        print(name, len(layers), *(_mean(key, [r[key] for r in layers if key in r]) for key in keys))


def _row(table, x, kernel, settings):
    case = cpu._case(x, kernel, sharded=False, **settings)
    return next((row for row in table if case is not None and row.condition(case)), None)


def _ratios(direction, forms, x, kernel, settings):
    """How many times faster than XLA's form each form is; a third of the best ratio where it was not timed."""
    rng = np.random.default_rng(0)
    x, kernel = (jnp.asarray(rng.standard_normal(shape), jnp.float32) for shape in (x, kernel))
    dy = plain.conv(x, kernel, **settings)
    first, arrays, more = {
        "kernel": (plain.conv_kernel_grad, (x, dy), {"window": kernel.shape[:-2]}),
        "input": (plain.conv_input_grad, (dy, kernel), {"space": x.shape[1:-1]}),
        "forward": (plain.conv, (x, kernel), {}),
    }[direction]
    calls = {key: random_convs.compiled(f, arrays, settings | more) for key, f in ({"lax": first} | forms).items()}
    once = {key: _once(call) for key, call in calls.items()}
    timed = {key: call for key, call in calls.items() if key == "lax" or once[key] < 3 * min(once.values())}
    result = alternate.compare(timed, rounds=5, block_milliseconds=8, limit_seconds=4)
    known = {key: result.ratio("lax", key) for key in timed if key != "lax"}
    return {key: known.get(key, -max([1.0, *known.values()]) / 3) for key in forms}


def _once(call):
    call()
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _text(ratio):
    return f"{ratio:.2f}" if ratio > 0 else "-"


def _mean(key, ratios):
    mean = math.exp(sum(math.log(abs(ratio)) for ratio in ratios) / len(ratios))
    return f"{key} {mean:.2f} ({sum(ratio < 0.95 for ratio in ratios)})"


if __name__ == "__main__":
    tyro.cli(main)
