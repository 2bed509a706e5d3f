"""Time single convolutions and pools, and their gradients, against XLA's own forms, torch and keras.

Run: `python experiments/benchmarks/ops.py --against lax torch --only dw3 --images 1 32`

One line a case: our milliseconds, then for each peer its milliseconds and how many times slower than ours it is.
torch counts with the faster of NCHW and channels_last.
"""

from collections.abc import Callable, Iterator

import alternate
import jax
import jax.numpy as jnp
import tyro
from cases import CONVS, POOLS, Conv, arrays, shapes

from jaxconv.functional import lowering
from jaxconv.functional.lowering import plain

_SLOW_GROUPS = 32  # XLA takes 17 to 51 s for one grouped kernel gradient of a batch of 32: measured for one image only


def main(
    against: tuple[str, ...] = ("lax",),
    only: tuple[str, ...] = (),
    images: tuple[int, ...] = (1, 32),
    directions: tuple[str, ...] = ("forward", "input", "kernel", "both"),
) -> None:
    """Print the table.

    Args:
        against: peers out of lax, torch, keras.
        only: parts of the names of the cases; none means all.
        images: batch sizes.
        directions: forward, input (gradient), kernel (gradient); for pools forward and both (forward and backward).
    """
    print(alternate.setting())
    for name, case in (CONVS | POOLS).items():
        if only and not any(part in name for part in only):
            continue
        for n in images:
            for direction, ours, peers in _contests(case, n, against):
                if direction in directions:
                    _report(f"{name:16} N{n:<3} {direction:8}", ours, peers)


def _report(label, ours, peers):
    result = alternate.compare({"ours": ours, **peers})
    text = f"{label} ours {result.milliseconds('ours'):9.3f} ms"
    for peer in peers:
        text += f" | {peer} {result.milliseconds(peer):9.3f} ms x{result.ratio(peer, 'ours'):.2f}"
    print(f"{text} | others {result.other_cores:.2f} cores", flush=True)


def _contests(case, n, against) -> Iterator[tuple[str, Callable, dict[str, Callable]]]:
    """Each direction of a case: its name, our function, and those of the peers."""
    build = jax_conv if isinstance(case, Conv) else jax_pool
    ours = build(case, n, lowering)
    peers = {"lax": build(case, n, plain)} if "lax" in against else {}
    if "torch" in against:
        import torch_ops

        for layout in ("NCHW", "NHWC"):
            peers[f"torch {layout}"] = torch_ops.build(case, n, layout)
    if "keras" in against and isinstance(case, Conv) and not case.transposed:
        peers["keras"] = jax_conv(case, n, _Keras)
    for direction, function in ours.items():
        contest = {peer: functions[direction] for peer, functions in peers.items() if direction in functions}
        if direction == "kernel" and n > 8 and isinstance(case, Conv) and case.groups == _SLOW_GROUPS:
            contest.pop("lax", None)
        yield direction, function, contest


def jax_conv(case, n, module):
    """Each direction of a convolution, with the functions of `module`."""
    x, kernel, dy = map(jnp.asarray, arrays(*shapes(case, n)))

    def conv(x, kernel):
        if case.transposed:
            return module.conv_input_grad(x, kernel, space=dy.shape[1:-1], **case.settings)
        return module.conv(x, kernel, **case.settings)

    return {
        "forward": compiled(conv, x, kernel),
        "input": compiled(lambda dy, kernel: jax.vjp(lambda x: conv(x, kernel), x)[1](dy)[0], dy, kernel),
        "kernel": compiled(lambda x, dy: jax.vjp(lambda k: conv(x, k), kernel)[1](dy)[0], x, dy),
    }


def jax_pool(case, n, module):
    """Each direction of a pool, with the functions of `module`."""
    pool = {"max": module.max_pool, "sum": module.sum_pool}[case.kind]
    (x,) = map(jnp.asarray, arrays((n, case.side, case.side, case.channels)))
    dy = pool(x, **case.settings)

    def both(x, dy):
        y, pull = jax.vjp(lambda x: pool(x, **case.settings), x)
        # As in a training step, the gradient arrives when the output is known: XLA would run the two at once.
        y, dy = jax.lax.optimization_barrier((y, dy))
        return y, pull(dy)[0]

    return {
        "forward": compiled(lambda x: pool(x, **case.settings), x),
        "both": compiled(both, x, dy),
    }


def compiled(function, *arguments):
    """A call of the compiled function that waits for its results."""
    compiled = jax.jit(function).lower(*arguments).compile()
    return lambda: jax.block_until_ready(compiled(*arguments))


class _Keras:
    """keras.ops.conv on its JAX backend (KERAS_BACKEND=jax)."""

    @staticmethod
    def conv(x, kernel, *, strides, padding, dilation, groups):
        """Like `lowering.conv`; keras knows SAME, and nothing of groups but their shapes."""
        import keras  # pyright: ignore[reportMissingImports]  # a peer, installed for the comparison only

        return keras.ops.conv(x, kernel, strides, "same", "channels_last", dilation)


if __name__ == "__main__":
    tyro.cli(main)
