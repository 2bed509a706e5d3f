"""Multiply-adds of a program, counted equation by equation: convolutions and matrix products, as published counts do.

A multiply-add is one product added to a sum. Those that meet padding zeros count, as in every published number; biases,
norms, activations and pools do not.
"""

import math
from collections import Counter
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr  # pyright: ignore[reportPrivateImportUsage] (documented)

from jaxconv.nn.trace import call_of


def multiply_adds(jaxpr: Jaxpr, outer: int | None = None) -> Counter[int | None]:
    """Multiply-adds by the index of the innermost call of `nn.trace` that they belong to, None outside all.

    Args:
        jaxpr: the program.
        outer: the call that a program without scopes of its own belongs to.
    """
    return _counted(jaxpr, lambda eqn: RULES[eqn.primitive.name](eqn), outer)


def activations(jaxpr: Jaxpr) -> int:
    """Numbers that the convolutions and matrix products of a program give: what timm's tables call macts."""
    return sum(_counted(jaxpr, lambda eqn: math.prod(_shape(eqn.outvars[0])), None).values())


def _counted(jaxpr: Jaxpr, count: Callable[[Any], int], outer: int | None) -> Counter[int | None]:
    """The sum of `count` over the equations of `RULES`, those of inner programs too, by call."""
    total: Counter[int | None] = Counter()
    for eqn in jaxpr.eqns:
        call = call_of(eqn)
        call = outer if call is None else call
        if eqn.primitive.name in RULES:
            total[call] += count(eqn)
        repeats = eqn.params.get("length", 1) if eqn.primitive.name == "scan" else 1
        for inner in _inner(eqn):
            for where, inside in _counted(inner, count, call).items():
                total[where] += repeats * inside
    return total


def _inner(eqn) -> list[Jaxpr]:
    values = [value for value in eqn.params.values() if isinstance(value, Jaxpr | ClosedJaxpr)]
    return [value.jaxpr if isinstance(value, ClosedJaxpr) else value for value in values]


def _shape(atom) -> tuple[int, ...]:
    return atom.aval.shape


def _conv(eqn) -> int:
    *window, group_channels, _ = _shape(eqn.invars[1])
    return math.prod(_shape(eqn.outvars[0])) * math.prod(window) * group_channels


def _conv_input_grad(eqn) -> int:
    *window, group_channels, _ = _shape(eqn.invars[1])
    return math.prod(_shape(eqn.invars[0])) * math.prod(window) * group_channels


def _conv_kernel_grad(eqn) -> int:
    *window, group_channels, _ = _shape(eqn.outvars[0])
    return math.prod(_shape(eqn.invars[1])) * math.prod(window) * group_channels


def _xla_conv(eqn) -> int:
    kernel, spec = _shape(eqn.invars[1]), eqn.params["dimension_numbers"].rhs_spec
    return math.prod(_shape(eqn.outvars[0])) * math.prod(kernel) // kernel[spec[0]]


def _dot_general(eqn) -> int:
    (contracting, _), _ = eqn.params["dimension_numbers"]
    left = _shape(eqn.invars[0])
    return math.prod(_shape(eqn.outvars[0])) * math.prod(left[axis] for axis in contracting)


RULES = MappingProxyType[str, Callable[[Any], int]](
    {
        "conv": _conv,
        "conv_input_grad": _conv_input_grad,
        "conv_kernel_grad": _conv_kernel_grad,
        "conv_general_dilated": _xla_conv,
        "dot_general": _dot_general,
    }
)
