"""The pyramid has the lesson's shapes and learns its statistics."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxconv import nn
from jaxconv.models import create_model


def test_shapes_of_the_lesson():
    model = create_model("conv_pyramid", key=None, features_only=True)
    apply, params, batch_stats = nn.functionalize(model, key=None)
    x = jax.ShapeDtypeStruct((1, 256, 256, 3), jnp.float32)
    maps = jax.eval_shape(lambda p, s, x: apply(p, s, x, train=False)[0], params, batch_stats, x)
    assert [level.shape[1:] for level in maps] == [(128, 128, 16), (64, 64, 64), (32, 32, 256)]


def test_the_classifier_reads_the_mean_of_the_last_map(rng):
    model = create_model("conv_pyramid", num_classes=4)
    x = jnp.asarray(rng.standard_normal((2, 17, 9, 3)), jnp.float32)
    last = np.asarray(model.features(x)[-1], np.float64)
    assert last.shape == (2, 3, 2, 256) and (last >= 0).all()
    np.testing.assert_allclose(model(x), last.mean((1, 2)) @ np.asarray(model.fc.kernel[...]), rtol=1e-4, atol=1e-5)


def test_statistics_learn():
    apply, params, batch_stats = nn.functionalize(create_model("conv_pyramid"))
    x = jax.ShapeDtypeStruct((2, 16, 16, 3), jnp.float32)
    after = jax.eval_shape(lambda p, s, x: apply(p, s, x, train=True)[1], params, batch_stats, x)
    assert jax.tree.structure(after) == jax.tree.structure(batch_stats) and len(jax.tree.leaves(after)) == 6
