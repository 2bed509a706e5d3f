"""Where numbers stopped being finite: a program is run one operation at a time, and each result is looked at.

Layers are known by their parameters: a value belongs to the parameter that entered its computation last. So no network
has to be written for this, and a name is what the checkpoint calls it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal  # pyright: ignore[reportPrivateImportUsage] (documented)

INLINED = ("jit", "pjit", "custom_jvp_call", "custom_vjp_call", "remat2", "checkpoint", "closed_call", "core_call")
"""Operations that only hold a program: it is run in their place."""


@dataclass(frozen=True)
class Origin:
    """The first operation that made NaN or infinity of finite numbers.

    Attributes:
        operation: JAX's name of it.
        parameter: path of the parameter that entered last; None before the first one, as in preprocessing.
        largest: the largest magnitude among its operands.
    """

    operation: str
    parameter: str | None
    largest: float


def first_nonfinite(function: Callable[..., Any], params: Any, *arguments: Any) -> Origin | None:
    """Run `function(params, *arguments)` operation by operation up to the first result that is not finite.

    An operation with an operand that is not finite is not to blame (a maximum that starts from -inf, say).

    Args:
        function: of trees of arrays; what it returns is not used.
        params: tree of arrays whose paths name the layers.
        arguments: further trees of arrays.

    Returns:
        The operation; None where all numbers are finite.
    """
    program = jax.make_jaxpr(function)(params, *arguments)
    try:
        _Run().program(program, params, arguments)
    except _Found as found:
        return found.origin
    return None


def last_nonfinite(gradients: Any, used: Mapping[str, int]) -> str | None:
    """The parameter nearest to the loss whose gradient is not finite: the others have theirs from it.

    Args:
        gradients: tree of arrays.
        used: when each parameter is first used in the forward pass, by path.
    """
    paths = dict(zip(_paths(gradients), jax.tree.leaves(gradients), strict=True))
    bad = [path for path, gradient in paths.items() if not bool(jnp.isfinite(gradient).all())]
    return max(bad, key=lambda path: used.get(path, -1), default=None)


def order_of_use(function: Callable[..., Any], params: Any, *arguments: Any) -> dict[str, int]:
    """When each parameter is first used, by path."""
    program = jax.make_jaxpr(function)(params, *arguments).jaxpr
    position = {}
    for index, equation in enumerate(program.eqns):
        for operand in equation.invars:
            if not isinstance(operand, Literal):
                position.setdefault(operand, index)
    return {path: position.get(variable, -1) for path, variable in zip(_paths(params), program.invars)}


class _Found(Exception):
    def __init__(self, origin: Origin) -> None:
        super().__init__(origin)
        self.origin = origin


@dataclass(frozen=True)
class _Value:
    """An array, and the parameter that entered it last: its path and when that was; `pure` without data beside it."""

    array: Any
    path: str | None = None
    time: int = -1
    pure: bool = True


class _Run:
    def __init__(self) -> None:
        self.time = 0

    def program(self, program: ClosedJaxpr, params: Any, arguments: Any) -> None:
        named = [_Value(array, path) for path, array in zip(_paths(params), jax.tree.leaves(params), strict=True)]
        data = [_Value(array, pure=False) for array in jax.tree.leaves(arguments)]
        self._nested(program.jaxpr, program.consts, [*named, *data])

    def _nested(self, jaxpr: Jaxpr, consts: Any, values: list[_Value]) -> list[_Value]:
        variables = [*jaxpr.constvars, *jaxpr.invars]
        known = dict(zip(variables, [*map(_Value, consts), *values], strict=True))
        last = {v: i for i, e in enumerate(jaxpr.eqns) for v in e.invars if not isinstance(v, Literal)}
        kept = {v for v in jaxpr.outvars if not isinstance(v, Literal)}
        for index, equation in enumerate(jaxpr.eqns):
            operands = [_Value(v.val) if isinstance(v, Literal) else known[v] for v in equation.invars]
            known.update(zip(equation.outvars, self._equation(equation, operands), strict=True))
            for variable in [v for v in (*equation.invars, *equation.outvars) if not isinstance(v, Literal)]:
                if variable not in kept and last.get(variable, index) <= index:
                    known.pop(variable, None)  # what nobody reads any more need not be held
        return [_Value(v.val) if isinstance(v, Literal) else known[v] for v in jaxpr.outvars]

    def _equation(self, equation: Any, operands: list[_Value]) -> list[_Value]:
        inner = next((p for p in equation.params.values() if isinstance(p, ClosedJaxpr | Jaxpr)), None)
        if equation.primitive.name in INLINED and inner is not None:
            closed = isinstance(inner, ClosedJaxpr)
            return self._nested(inner.jaxpr if closed else inner, inner.consts if closed else (), operands)
        self.time += 1
        owner = self._owner(operands)
        arrays = [value.array for value in operands]
        results = equation.primitive.bind(*arrays, **equation.primitive.get_bind_params(equation.params))
        results = results if equation.primitive.multiple_results else [results]
        if not all(map(_finite, results)) and all(map(_finite, arrays)):
            raise _Found(Origin(equation.primitive.name, owner.path, max(map(_magnitude, arrays), default=0.0)))
        return [replace(owner, array=result) for result in results]

    def _owner(self, operands: list[_Value]) -> _Value:
        """To whom the results belong: the parameter that meets the data here, or the one that met them last."""
        named = [value for value in operands if value.pure and value.path is not None]
        data = [value for value in operands if not value.pure]
        if named and data:
            return _Value(None, named[0].path, self.time, pure=False)
        return max(data or named or [_Value(None)], key=lambda value: value.time)


def _finite(array: Any) -> bool:
    return not _is_float(array) or bool(jnp.isfinite(array).all())


def _magnitude(array: Any) -> float:
    return float(jnp.abs(jnp.asarray(array, jnp.float32)).max()) if _is_float(array) and np.size(array) else 0.0


def _is_float(array: Any) -> bool:
    return jnp.issubdtype(array.dtype if hasattr(array, "dtype") else np.result_type(array), jnp.floating)


def _paths(tree: Any) -> list[str]:
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in jax.tree.leaves_with_path(tree)]
