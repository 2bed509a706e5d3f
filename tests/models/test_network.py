"""What networks share: flattening in PyTorch's order, and the abstract base."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from models.samples import SMALLEST

from jaxconv.models import create_model
from jaxconv.models.network import Network, flatten


def test_flatten_puts_channels_outermost():
    x = np.arange(2 * 2 * 3 * 4).reshape(2, 2, 3, 4).astype(np.float32)
    expected = [[x[n, h, w, c] for c in range(4) for h in range(2) for w in range(3)] for n in range(2)]
    np.testing.assert_array_equal(flatten(jnp.asarray(x)), expected)


@pytest.mark.parametrize("method", ["features", "classify"])
def test_a_network_must_define_its_parts(method):
    with pytest.raises(NotImplementedError, match=rf"Network must define {method}\(\)"):
        getattr(Network(), method)(jnp.ones((1, 2, 2, 1)))


@pytest.mark.parametrize("name", [*SMALLEST, "regnetz_040", "regnetv_040", "xception65p"])
def test_logits_are_the_class_of_the_last_map(name):
    """The two ways are one program, whatever modules a reference keeps under the name `head`."""
    graph, state = nnx.split(create_model(name, key=None))
    info = create_model(name, key=None).info
    x = jax.ShapeDtypeStruct((1, *info.input_size, info.in_chans), np.float32)
    state = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), state)

    def program(way):
        return str(jax.make_jaxpr(lambda state, x: way(nnx.merge(graph, state, copy=True), x))(state, x))

    assert program(lambda model, x: model.classify(model.features(x)[-1])) == program(lambda model, x: model(x))
