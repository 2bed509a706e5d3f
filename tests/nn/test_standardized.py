"""Standardized kernels have mean 0 and the stated variance, whatever their window."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxconv import nn
from jaxconv.nn.standardized import ScaledConv, StandardizedConv


@pytest.mark.parametrize("window", [3, (3, 2), (4,)])
def test_kernels_of_every_window(window):
    plain = nn.initialize(StandardizedConv(4, 6, window, padding=0, groups=2, epsilon=0.0))
    scaled = nn.initialize(ScaledConv(4, 6, window, padding=0, groups=2, gamma=1.5, epsilon=0.0))
    for layer, deviation in ((plain, 1), (scaled, 1.5 * scaled.kernel.get_value()[..., 0].size ** -0.5)):
        kernel = np.asarray(layer.effective_kernel(jnp.float32), np.float64).reshape(-1, 6)
        np.testing.assert_allclose(kernel.mean(0), 0, atol=1e-6)
        np.testing.assert_allclose(kernel.std(0), deviation, rtol=1e-5)
