"""A network with values everywhere that are not those it starts with, so that no part of it may be left out."""

import jax.numpy as jnp
import numpy as np
from flax import nnx

from jaxconv.nn import initialize


def scattered(module):
    """The module drawn: kernels by their fan-in, everything else (scales, biases, statistics) in [0.5, 1.5)."""
    rng = np.random.default_rng(1)
    for _, variable in nnx.iter_graph(initialize(module)):
        if isinstance(variable, nnx.Variable):
            shape = variable.get_value().shape
            fan_in = np.prod(shape[:-1])
            wide = len(shape) > 1 and fan_in > 1
            value = rng.standard_normal(shape) * np.sqrt(2 / fan_in) if wide else rng.uniform(0.5, 1.5, shape)
            variable.set_value(jnp.asarray(value, jnp.float32))
    return module
