"""Predicted receptive fields against the truth: the support of a derivative with all weights positive."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import jaxconv.functional as F
from jaxconv.nn.receptive import receptive_fields

SIZE = 40


def weights(*shape):
    return jnp.asarray(np.random.default_rng(0).uniform(0.5, 1.5, shape), jnp.float32)


def conv(x, window, **settings):
    settings = {"padding": "SAME", **settings}
    return F.conv(x, weights(window, window, x.shape[-1] // settings.get("groups", 1), 2), **settings)


def residual(x):
    return x + conv(conv(x, 3), 3)


def branches(x):
    return F.inception(x, [lambda x: conv(x, 1), lambda x: conv(conv(x, 3), 5), lambda x: pooled(x, 3, 1, 1)])


def pooled(x, window, strides, padding):
    return F.avg_pool(x, window, strides=strides, padding=padding)


def squeezed_space(x):
    return conv(F.space_to_depth(x, 2), 3)


def flattened_and_back(x):
    n, h, w, c = (y := conv(x, 3, strides=2)).shape
    tokens = y.reshape(n, h * w, c).transpose(0, 2, 1)
    return conv((tokens * 2).transpose(0, 2, 1).reshape(n, h, w, c), 3)


def xla_conv(x):
    settings = {"dimension_numbers": ("NCHW", "OIHW", "NCHW"), "rhs_dilation": (2, 1)}
    y = lax.conv_general_dilated(x.transpose(0, 3, 1, 2), weights(2, 2, 3, 3), (1, 2), ((2, 1), (0, 1)), **settings)
    return y.transpose(0, 2, 3, 1)


def xla_pool(x):
    return lax.reduce_window(x, 0.0, lax.add, (1, 3, 2, 2), (1, 2, 2, 1), ((0, 0), (1, 1), (0, 0), (0, 0)))


def cut_and_padded(x):
    y = jnp.pad(x[:, 3:33:2, 1:], ((0, 0), (2, 2), (0, 1), (0, 0)))
    return conv(y, 3, padding="VALID")


def recomputed(x):
    return jax.checkpoint(jax.jit(lambda x: jax.nn.relu(conv(x, 5, strides=2))))(x)


def shuffled(x):
    return conv(F.channel_shuffle(conv(x, 3, groups=2), 2), 3, groups=2)


def edged(x):
    return conv(jnp.pad(x, ((0, 0), (2, 2), (1, 0), (0, 0)), mode="edge"), 5, padding="VALID")


def chosen(x):
    return lax.cond(True, lambda x: conv(x, 5), lambda x: x, conv(x, 3))


def chosen_of_three(x):
    return lax.switch(1, [lambda x: conv(x, 3), lambda x: conv(x, 7), jnp.zeros_like], x)


NETWORKS = [
    lambda x: conv(x, 3),
    lambda x: conv(conv(x, 3, strides=2), 3, dilation=3),
    lambda x: pooled(conv(x, 5, strides=2, padding=2), 2, 2, 0),
    lambda x: jnp.tanh(F.batch_norm(conv(x, 3), *map(jnp.ones, (2, 2, 2, 2)), epsilon=1e-5) / 100),
    residual,
    branches,
    lambda x: branches(residual(x)),
    squeezed_space,
    flattened_and_back,
    xla_conv,
    xla_pool,
    cut_and_padded,
    recomputed,
    shuffled,
    edged,
    chosen,
    chosen_of_three,
]


def predicted(network, shape=(1, SIZE, SIZE, 2)):
    closed = jax.make_jaxpr(network)(jax.ShapeDtypeStruct(shape, jnp.float32))
    (field,) = receptive_fields(closed, 0)
    return field, closed.jaxpr.outvars[0].aval.shape


@pytest.mark.parametrize("network", NETWORKS)
def test_an_inner_element_sees_exactly_its_span(network):
    field, (_, height, width, _) = predicted(network)
    at = height // 2 - 1, width // 2

    def seen(x):
        return network(x)[0, at[0], at[1]].sum()

    support = np.asarray(jax.jit(jax.grad(seen))(weights(1, SIZE, SIZE, 2)))[0].any(-1)
    for axis, index in enumerate(at):
        touched = np.flatnonzero(support.any(1 - axis))
        first = field.spans[axis][0] + index * field.stride(axis)
        assert (touched[0], touched[-1]) == (first, first + field.size(axis) - 1)


def spread(x):
    return F.conv_transpose(x, weights(4, 4, 2, 2), padding=1, strides=2)


def test_transposed_convolution_halves_the_stride_and_covers_the_truth():
    field, (_, height, _, _) = predicted(spread)
    assert field.stride(0) == 0.5 and field.size(0) == 3 and height == 2 * SIZE
    for at in (20, 21):
        gradient = jax.grad(lambda x, at=at: spread(x)[0, at, 20].sum())(weights(1, SIZE, SIZE, 2))
        touched = np.flatnonzero(np.asarray(gradient)[0].any((1, 2)))
        first = field.spans[0][0] + at * 0.5
        assert first <= touched[0] and touched[-1] <= first + field.size(0) - 1


def gated(x):
    y = conv(x, 3, strides=2)
    gate = jax.nn.sigmoid(F.global_avg_pool(y) @ weights(2, 2))
    return y * gate[:, None, None, :]


def test_a_gate_sees_the_whole_image_and_keeps_the_stride():
    field, _ = predicted(gated)
    assert field.size(0) == (SIZE // 2 - 1) * 2 + 3 and field.stride(0) == 2


@pytest.mark.parametrize(
    "head",
    [
        F.global_max_pool,
        lambda x: x.reshape(x.shape[0], -1) @ weights(SIZE * SIZE * 2, 3),
        lambda x: x.transpose(0, 3, 1, 2).reshape(x.shape[0], -1) @ weights(SIZE * SIZE * 2, 3),
        lambda x: jnp.einsum("nhwc,hwk->nck", x, weights(SIZE, SIZE, 2)),
        lambda x: jnp.cumsum(jnp.cumsum(x, 1), 2),
        lambda x: jnp.argmax(x, axis=1) + jnp.argmax(x, axis=2),
    ],
)
def test_what_mixes_all_places_sees_everything(head):
    field, _ = predicted(lambda x: head(conv(x, 3)))
    assert field.size(0) == SIZE + 2 and field.size(1) == SIZE + 2 and field.stride(0) is None


def test_values_that_ignore_the_image_have_no_field():
    closed = jax.make_jaxpr(lambda w, x: (w * 2, x + 1))(1.0, jnp.ones((1, 4, 4, 1)))
    parameter, image = receptive_fields(closed, 1)
    assert parameter is None and (image.size(0), image.stride(1)) == (1, 1)


def test_a_kernel_made_from_the_image_lets_everything_be_seen():
    def dynamic(x):
        kernel = jnp.broadcast_to(F.global_avg_pool(x)[0], (3, 3, 2, 2))
        return F.conv(x, kernel, padding="SAME")

    field, _ = predicted(dynamic)
    assert field.size(0) >= SIZE and field.stride(0) == 1


def test_a_map_of_one_place_keeps_its_stride():
    field, shape = predicted(lambda x: conv(conv(x, 3, strides=2), 20, padding="VALID"))
    assert shape[1:3] == (1, 1) and field.stride(0) == 2 and field.size(0) == 3 + 19 * 2


def test_a_choice_made_by_the_image_sees_everything():
    field, _ = predicted(lambda x: lax.cond(x.sum() > 0, lambda x: conv(x, 3), lambda x: x, x))
    assert field.size(0) == SIZE + 1 and field.stride(0) == 1  # and the padding before the first place
    field, _ = predicted(lambda x: lax.cond(x.sum() > 0, jnp.ones_like, jnp.zeros_like, x))
    assert field.size(0) == SIZE and field.stride(0) is None


def test_no_elements_see_nothing():
    closed = jax.make_jaxpr(lambda x: (x[:, :0] + 1, x[:, 1:]))(jnp.ones((1, 4, 4, 1)))
    nothing, rest = receptive_fields(closed, 0)
    assert nothing is None and rest.spans[0] == (1, 1)
