"""`Dense` is a matrix product and a bias over the last axis."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxconv import nn
from jaxconv.nn import initializers


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3)])
def test_against_sums(shape, rng):
    layer = nn.initialize(nn.Dense(3, 5, bias_init=initializers.normal(1.0)))
    x = rng.standard_normal(shape).astype(np.float32)
    kernel, bias = np.asarray(layer.kernel[...], np.float64), np.asarray(layer.bias[...])
    expected = (x[..., :, None].astype(np.float64) * kernel).sum(-2) + bias
    np.testing.assert_allclose(layer(jnp.asarray(x)), expected, rtol=1e-5, atol=1e-6)


def test_dtype_and_optional_bias():
    layer = nn.initialize(nn.Dense(3, 5, use_bias=False))
    assert layer.bias is None and layer(jnp.ones((2, 3), jnp.float16)).dtype == jnp.float16


def test_wrong_width():
    layer = nn.initialize(nn.Dense(3, 5))
    with pytest.raises(ValueError, match=r"reads 3 features from the last axis; x of shape \(2, 4\) has 4"):
        layer(jnp.ones((2, 4)))
