"""Activations by the names that timm's tables use: plain functions of one array."""

from collections.abc import Callable
from functools import partial
from types import MappingProxyType

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

Activation = Callable[[Array], Array]


def identity(x: Array) -> Array:
    """X."""
    return x


def quick_gelu(x: Array) -> Array:
    """X * sigmoid(1.702 x), the approximation of GELU that CLIP was trained with."""
    return x * jax.nn.sigmoid(1.702 * x)


ACTIVATIONS = MappingProxyType[str, Activation](
    {
        "": identity,
        "relu": jax.nn.relu,
        "relu6": jax.nn.relu6,
        "leaky_relu": jax.nn.leaky_relu,
        "gelu": partial(jax.nn.gelu, approximate=False),
        "gelu_tanh": partial(jax.nn.gelu, approximate=True),
        "quick_gelu": quick_gelu,
        "silu": jax.nn.silu,
        "swish": jax.nn.silu,
        "mish": jax.nn.mish,
        "sigmoid": jax.nn.sigmoid,
        "tanh": jnp.tanh,
        "hard_swish": jax.nn.hard_swish,
        "hard_sigmoid": jax.nn.hard_sigmoid,
    }
)


class Activate(nnx.Module):
    """An activation with a place among numbered layers."""

    def __init__(self, function: Activation = jax.nn.relu):
        self.function = function

    def __call__(
        self, x: Float[Array, "*shape"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*shape"]:
        """The activation of x, of any shape."""
        return self.function(x)


def activation(name: str) -> Activation:
    """The activation called `name`.

    Raises:
        ValueError: if there is none of that name.
    """
    if name not in ACTIVATIONS:
        raise ValueError(f"An activation is one of {', '.join(map(repr, ACTIVATIONS))}: got {name!r}.")
    return ACTIVATIONS[name]
