"""Networks of stacked blocks: what their tables say, their stems' levels, and one convolution for many."""

import jax.numpy as jnp
import numpy as np

from jaxconv import nn
from jaxconv.models import create_model


def images(n=2, size=64, seed=0):
    return jnp.asarray(np.random.default_rng(seed).standard_normal((n, size, size, 3)), jnp.float32)


def scattered(name, **settings):
    """The network with statistics, scales and biases that are not those it starts with."""
    model, rng = create_model(name, **settings), np.random.default_rng(1)
    for _, variable in nn.byob_variables(model) if hasattr(nn, "byob_variables") else variables(model):
        if variable.get_value().ndim == 1:
            variable.set_value(jnp.asarray(rng.uniform(0.5, 1.5, variable.get_value().shape), jnp.float32))
    return model


def variables(model):
    from flax import nnx

    return [(path, node) for path, node in nnx.iter_graph(model) if isinstance(node, nnx.Variable)]
