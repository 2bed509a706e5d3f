"""Pool modules remember their settings."""

import jax.numpy as jnp
import numpy as np
from functional import oracles

from jaxconv import nn


def test_max_pool_rounds_up_where_asked(rng):
    x = rng.standard_normal((2, 6, 7, 3)).astype(np.float32)
    geometry = {"window": (3, 3), "strides": (2, 2), "pairs": ((0, 0), (0, 0))}
    for ceil_mode in (False, True):
        layer = nn.MaxPool(3, strides=2, padding=0, ceil_mode=ceil_mode)
        expected = oracles.max_pool(x, ceil_mode=ceil_mode, **geometry)
        np.testing.assert_array_equal(layer(jnp.asarray(x)), expected)


def test_avg_pool_counts_padding_only_where_asked(rng):
    x = rng.standard_normal((2, 5, 4, 3)).astype(np.float32)
    geometry = {"window": (3, 2), "strides": (1, 2), "pairs": ((1, 1), (0, 1))}
    for counted in (False, True):
        layer = nn.AvgPool([3, 2], strides=[1, 2], padding=[[1, 1], [0, 1]], count_include_pad=counted)
        expected = oracles.avg_pool(x, count_include_pad=counted, **geometry)
        np.testing.assert_allclose(layer(jnp.asarray(x)), expected, rtol=1e-5, atol=1e-6)
