"""A forward pass as data: its jaxpr, and which module was called when, without computing anything."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.extend.core import ClosedJaxpr  # pyright: ignore[reportPrivateImportUsage] (documented)

_SCOPE = "call:"
_PATCHING = threading.Lock()


@dataclass(frozen=True)
class Call:
    """One call of a module during a forward pass.

    Attributes:
        path: attribute path of the module, "" for the network itself.
        kind: its class.
        input_shape: shape of its first argument.
        output_shape: shape of what it returned, of the first array where there are several.
        parameters: trainable numbers that it holds itself, those of its submodules excluded.
        leaf: whether it has no submodules.
    """

    path: str
    kind: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    parameters: int
    leaf: bool


@dataclass(frozen=True)
class Trace:
    """A traced forward pass.

    Attributes:
        jaxpr: its program. The last argument is the image; the results are the output of every call, then what the
            network returned.
        calls: the calls in the order in which they began; `call_of` finds the one that an equation belongs to.
    """

    jaxpr: ClosedJaxpr
    calls: tuple[Call, ...]


def trace(module: nnx.Module, shape: tuple[int, ...], method: str = "__call__") -> Trace:
    """Traces `module.method(x)` in evaluation mode for a float32 x of `shape` (n, *space, c), drawn or not."""
    graph, state = nnx.split(module)
    calls: list[Call] = []

    def forward(state, x):
        copy = nnx.merge(graph, state, copy=True)
        with _recorded(copy) as records:
            result = getattr(copy, method)(x)
        calls.extend(call for call, _ in records)
        return [output for _, output in records], result

    abstract = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state)
    jaxpr = jax.make_jaxpr(forward)(abstract, jax.ShapeDtypeStruct(shape, np.float32))
    return Trace(jaxpr, tuple(calls))


def call_of(eqn) -> int | None:
    """The index of the innermost call that an equation belongs to; None outside all."""
    scopes = [scope for scope in str(eqn.source_info.name_stack).split("/") if scope.startswith(_SCOPE)]
    return int(scopes[-1].removeprefix(_SCOPE)) if scopes else None


@contextmanager
def _recorded(root: nnx.Module) -> Iterator[list[tuple[Call, jax.Array]]]:
    """While open, collects (call, output) of every call of a module inside `root`, in the order of their beginnings."""
    modules = {id(module): (path, module) for path, module in nnx.iter_modules(root)}
    records: list[Any] = []
    owners = {next(c for c in type(m).__mro__ if "__call__" in vars(c)) for _, m in modules.values() if callable(m)}
    with _PATCHING:
        originals = {owner: owner.__call__ for owner in owners}
        try:
            for owner, original in originals.items():
                owner.__call__ = _recording(original, modules, records)
            yield records
        finally:
            for owner, original in originals.items():
                owner.__call__ = original


def _recording(original: Callable[..., Any], modules: dict[int, Any], records: list[Any]) -> Callable[..., Any]:
    def call(self, x, *args, **kwargs):
        # Absent: a module outside the network, or one whose class continues the call that is being recorded.
        path, module = modules.pop(id(self), (None, None))
        if path is None:
            return original(self, x, *args, **kwargs)
        index = len(records)
        records.append(None)
        try:
            with jax.named_scope(f"{_SCOPE}{index}"):
                result = original(self, x, *args, **kwargs)
        finally:
            modules[id(self)] = path, module
        output = jax.tree.leaves(result)[0]
        records[index] = _described(self, path, x, output), output
        return result

    return call


def _described(module: nnx.Module, path: tuple[Any, ...], x: jax.Array, output: jax.Array) -> Call:
    own = [value for value in vars(module).values() if isinstance(value, nnx.Param)]
    return Call(
        path=".".join(map(str, path)),
        kind=type(module).__name__,
        input_shape=x.shape,
        output_shape=output.shape,
        parameters=sum(value.get_value().size for value in own),
        leaf=sum(1 for _ in nnx.iter_modules(module)) == 1,
    )
