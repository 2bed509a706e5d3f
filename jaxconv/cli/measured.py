"""One row of `jaxconv bench`: a network compiled and timed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxconv import functional as F
from jaxconv.explain.cost import activations, multiply_adds
from jaxconv.explain.measure import compile_timed, time_calls
from jaxconv.models import Network, create_model
from jaxconv.nn import functionalize
from jaxconv.nn.trace import trace
from jaxconv.train import Preprocess, make_optimizer
from jaxconv.train.state import initial_state
from jaxconv.train.step import make_train_step

Mode = Literal["infer", "train"]
LEARNING_RATE = 1e-4
"""Of the measured training step, as in timm's: its value does not change the time."""


@dataclass(frozen=True)
class Setting:
    """How a network is measured.

    Attributes:
        batch_size: images a call.
        size: (height, width) of the images in pixels.
        dtype: in which it computes.
        calls: how many calls count.
        limit_seconds: as in `explain.measure.time_calls`.
    """

    batch_size: int
    size: tuple[int, int]
    dtype: str
    calls: int
    limit_seconds: float


def measured(name: str, modes: tuple[Mode, ...], setting: Setting, say: Callable[[str], None]) -> dict[str, Any]:
    """One row: timm's columns for each mode, `param_count`, then ours; `error` where the network failed."""
    theirs: dict[str, Any] = {"model": name}
    ours = {"dtype": setting.dtype, "device": jax.devices()[0].device_kind, "jax": jax.__version__}
    model = create_model(name)
    for mode in modes:
        try:
            speed, more = run(model, mode, setting, say)
        except (ValueError, jax.errors.JaxRuntimeError) as error:  # too small an image; no memory
            say(f"  {mode}: {str(error).splitlines()[0]}")
            return {"model": name, "error": str(error)}
        theirs |= {f"{mode}_{column}": value for column, value in speed.items()}
        ours |= {f"{mode}_{column}": value for column, value in more.items()}
    count = sum(leaf.size for leaf in jax.tree.leaves(functionalize(model)[1]))
    return {**theirs, "param_count": round(count / 1e6, 2), **ours}


def run(
    model: Network, mode: Mode, setting: Setting, say: Callable[[str], None]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The columns of one mode: timm's, and ours."""
    function, arguments, donate = program(model, mode, setting.batch_size, setting.size, setting.dtype)
    costs = sum(multiply_adds(jax.make_jaxpr(function)(*arguments).jaxpr).values())
    made = compile_timed(function, *arguments, donate=donate)
    say(f"  {mode}: compiled in {made.seconds:.1f} s")
    call = _repeated(made.call, arguments, donate)
    times = time_calls(call, calls=setting.calls, limit_seconds=setting.limit_seconds)
    (low, high), (height, width) = times.quartiles, setting.size
    speed = {
        "samples_per_sec": round(setting.batch_size / times.median, 2),
        "step_time": round(1e3 * times.median, 3),
        "batch_size": setting.batch_size,
        "img_size": width if height == width else f"{height}x{width}",
    }
    if mode == "infer":
        forward = trace(model, (1, height, width, model.info.in_chans)).jaxpr.jaxpr
        speed["gmacs"] = round(sum(multiply_adds(forward).values()) / 1e9, 2)
        speed["macts"] = round(activations(forward) / 1e6, 2)
    more = {
        "step_time_quartiles": f"{1e3 * low:.3f} {1e3 * high:.3f}",
        "calls": len(times.seconds),
        "compile_seconds": round(made.seconds, 2),
        "memory_mib": round(made.memory_bytes / 2**20, 1),
        "gmacs_per_sec": round(costs / times.median / 1e9, 1),
    }
    say(f"  {mode}: {speed['samples_per_sec']:,} images/s, {speed['step_time']} ms")
    return speed, more


def program(
    model: Network, mode: Mode, batch_size: int, size: tuple[int, int] | None = None, dtype: str = "float32"
) -> tuple[Any, tuple[Any, ...], tuple[int, ...]]:
    """What is measured: a function, its arguments, and which of them it takes over."""
    apply, params, batch_stats = functionalize(model)
    shape = (batch_size, *model.info.size_for(size), model.info.in_chans)
    rng = np.random.default_rng(0)
    if mode == "infer":
        x = jnp.asarray(rng.standard_normal(shape, np.float32), dtype)
        return lambda p, b, x: apply(p, b, x, train=False)[0], (params, batch_stats, x), ()
    middle = (0.5,) * model.info.in_chans
    optimizer = make_optimizer("momentum", LEARNING_RATE)
    preprocess = Preprocess(mean=middle, std=middle, dtype=dtype)
    step = make_train_step(apply, optimizer, loss=F.cross_entropy, preprocess=preprocess)
    images, labels = rng.integers(0, 256, shape, np.uint8), rng.integers(0, model.info.num_classes or 2, batch_size)
    state = jax.tree.map(jnp.copy, initial_state(params, batch_stats, optimizer))
    return step, (state, jnp.asarray(images), jnp.asarray(labels, jnp.int32)), (0,)


def _repeated(call, arguments: tuple[Any, ...], donate: tuple[int, ...]):
    """A call without arguments; where the first is taken over, the result goes in its place."""
    if not donate:
        return lambda: call(*arguments)
    state = [arguments[0]]

    def step():
        state[0] = call(state[0], *arguments[1:])
        return state[0]

    return step
