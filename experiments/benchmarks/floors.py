"""What a cell of `ops` could reach at most: plain lax in units of a program that does the cell's least.

Run: `PYTHONPATH=. python experiments/benchmarks/floors.py --images 1 8 32`

`moves` reads and writes arrays of the same shapes once, one addition an element: the cell's memory, its page faults and
the cost of a call. `multiplies` is one matrix product of as many multiply-adds, of factors that lie as it wants them.
No form written in JAX operations is faster than the slower of the two, so the ratio of a cell to plain lax ends there.
"""

from collections.abc import Callable

import alternate
import jax.numpy as jnp
import ops
import tyro
from cases import CONVS, POOLS, Conv, arrays, shapes

from jaxconv.functional import lowering
from jaxconv.functional.lowering import plain


def main(
    only: tuple[str, ...] = ("dw", "g32", "c1_", "max"), images: tuple[int, ...] = (1, 8, 32), rounds: int = 7
) -> None:
    """Print a line a cell: our milliseconds, then how many times as long plain lax takes as ours and each floor.

    Args:
        only: parts of the names of the cases.
        images: batch sizes.
        rounds: how many rounds are kept.
    """
    print(alternate.setting())
    for name, case in (CONVS | POOLS).items():
        if any(part in name for part in only):
            for n in images:
                for direction, variants in _cells(case, n).items():
                    _report(f"{name:16} N{n:<3} {direction:8}", alternate.compare(variants, rounds=rounds), variants)


def _report(label: str, result: alternate.Comparison, variants: dict[str, Callable]) -> None:
    text = f"{label} ours {result.milliseconds('ours'):9.3f} ms"
    for name in (name for name in variants if name != "lax"):
        text += f" | lax / {name} {result.ratio('lax', name):.2f}"
    print(f"{text} | others {result.other_cores:.2f} cores", flush=True)


def _cells(case, n: int) -> dict[str, dict[str, Callable]]:
    build = ops.jax_conv if isinstance(case, Conv) else ops.jax_pool
    ours, lax = build(case, n, lowering), build(case, n, plain)
    floors = _conv_floors(case, n) if isinstance(case, Conv) else _pool_floors(case, n)
    return {
        direction: {"ours": ours[direction], "lax": lax[direction], **floor}
        for direction, floor in floors.items()
        if not (direction == "kernel" and case.groups == 32)  # XLA takes seconds for one
    }


def _conv_floors(case: Conv, n: int) -> dict[str, dict[str, Callable]]:
    x, kernel, dy = map(jnp.asarray, arrays(*shapes(case, n)))
    if case.groups == case.channels:
        return {"forward": {"moves": _moves((x, dy))}, "input": {"moves": _moves((dy, x))}}
    taps, positions = kernel.size // dy.shape[-1], dy.size // dy.shape[-1]
    return {
        "forward": {"moves": _moves((x, dy)), "multiplies": _multiplies(positions, taps, dy.shape[-1])},
        "input": {"moves": _moves((dy, x)), "multiplies": _multiplies(positions, dy.shape[-1], taps)},
        "kernel": {"multiplies": _multiplies(taps, positions, dy.shape[-1])},
    }


def _pool_floors(case, n: int) -> dict[str, dict[str, Callable]]:
    (x,) = map(jnp.asarray, arrays((n, case.side, case.side, case.channels)))
    y = plain.max_pool(x, **case.settings)
    return {"forward": {"moves": _moves((x, y))}, "both": {"moves": _moves((x, y), (y, x))}}


def _moves(*pairs) -> Callable:
    """A program that reads the first array of each pair and writes one of the second's shape, adding one."""
    wanted = [written.shape for _, written in pairs]
    return ops.compiled(
        lambda *read: [jnp.resize(a + 1, shape) for a, shape in zip(read, wanted)], *(read for read, _ in pairs)
    )


def _multiplies(rows: int, inner: int, columns: int) -> Callable:
    return ops.compiled(jnp.matmul, *map(jnp.asarray, arrays((rows, inner), (inner, columns))))


if __name__ == "__main__":
    tyro.cli(main)
