"""What networks share: flattening in PyTorch's order, and the abstract base."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxconv.models.network import Network, flatten


def test_flatten_puts_channels_outermost():
    x = np.arange(2 * 2 * 3 * 4).reshape(2, 2, 3, 4).astype(np.float32)
    expected = [[x[n, h, w, c] for c in range(4) for h in range(2) for w in range(3)] for n in range(2)]
    np.testing.assert_array_equal(flatten(jnp.asarray(x)), expected)


@pytest.mark.parametrize("method", ["features", "head"])
def test_a_network_must_define_its_parts(method):
    with pytest.raises(NotImplementedError, match=rf"Network must define {method}\(\)"):
        getattr(Network(), method)(jnp.ones((1, 2, 2, 1)))
