"""The step: what it computes, and that it depends on nothing but its arguments."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from train.conftest import stripes, tiny_apply, tiny_params, tiny_stats

from jaxconv.functional import cross_entropy
from jaxconv.train import Preprocess, initial_state, make_eval_step, make_train_step
from jaxconv.train.step import AUXILIARY_WEIGHT

PREPROCESS = Preprocess(mean=(0.5,), std=(0.25,))


def make(apply=tiny_apply, optimizer=None, **options):
    optimizer = optimizer or optax.sgd(0.1)
    step = make_train_step(apply, optimizer, loss=cross_entropy, preprocess=PREPROCESS, **options)
    return jax.jit(step), initial_state(tiny_params(), tiny_stats(), optimizer, ema="ema_decay" in options)


def batch(count: int = 8):
    data = stripes(count)
    return jnp.asarray(data.images), jnp.asarray(data.labels)


def test_a_step_is_one_step_of_gradient_descent():
    step, state = make()
    images, labels = batch()
    after = step(state, images, labels)
    x = (np.asarray(images) / 255 - 0.5) / 0.25

    def loss(params):
        logits, _ = tiny_apply(params, tiny_stats(), jnp.asarray(x, jnp.float32), train=True)
        return -jax.nn.log_softmax(logits)[jnp.arange(8), labels].mean()

    value, gradients = jax.jit(jax.value_and_grad(loss))(state.params)
    expected = jax.tree.map(lambda p, g: p - 0.1 * g, state.params, gradients)
    for a, b in zip(jax.tree.leaves(after.params), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    assert int(after.step) == 1
    assert float(after.totals["loss"]) / 8 == pytest.approx(float(value), rel=1e-5)
    assert int(after.totals["images"]) == 8
    assert not np.allclose(after.batch_stats["mean"], 0)


def test_auxiliary_heads_enter_the_loss():
    def with_heads(params, batch_stats, x, *, train, key=None):
        logits, batch_stats = tiny_apply(params, batch_stats, x, train=train)
        return ((logits, logits, logits) if train else logits), batch_stats

    plain, state = make()
    heads, _ = make(with_heads)
    images, labels = batch()
    moved, more = plain(state, images, labels), heads(state, images, labels)
    for before, a, b in zip(*(jax.tree.leaves(s.params) for s in (state, moved, more)), strict=True):
        np.testing.assert_allclose(b - before, (1 + 2 * AUXILIARY_WEIGHT) * (a - before), rtol=1e-3, atol=1e-6)
    assert float(more.totals["loss"]) == pytest.approx(float(moved.totals["loss"]))


def test_the_key_follows_from_seed_and_step():
    def noisy(params, batch_stats, x, *, train, key=None):
        logits, batch_stats = tiny_apply(params, batch_stats, x, train=train)
        return logits + jax.random.normal(key, logits.shape), batch_stats

    images, labels = batch()
    first, state = make(noisy, seed=3)
    other, _ = make(noisy, seed=4)
    later = jax.tree.map(lambda leaf: leaf, state)
    later = type(state)(**{**vars(later), "step": jnp.int32(7)})
    losses = [float(f(s, images, labels).totals["loss"]) for f, s in ((first, state), (other, state), (first, later))]
    assert len(set(losses)) == 3
    assert losses[0] == float(first(state, images, labels).totals["loss"])


def test_augmentation_sees_preprocessed_images():
    seen = {}

    def augment(key, x):
        seen["dtype"], seen["shape"] = x.dtype, x.shape
        return x * 0

    step, state = make(augment=augment)
    plain, _ = make()
    images, labels = batch()
    assert float(step(state, images, labels).totals["loss"]) != float(plain(state, images, labels).totals["loss"])
    assert seen == {"dtype": jnp.float32, "shape": (8, 6, 6, 1)}


def test_the_moving_average_moves_by_its_share():
    step, state = make(ema_decay=0.9)
    after = step(state, *batch())
    for before, now, average in zip(
        *(jax.tree.leaves(t) for t in (state.params, after.params, after.ema)), strict=True
    ):
        np.testing.assert_allclose(average, 0.9 * before + 0.1 * now, rtol=1e-5, atol=1e-7)


def test_evaluation_ignores_masked_images():
    step = jax.jit(make_eval_step(tiny_apply, loss=cross_entropy, preprocess=PREPROCESS))
    images, labels = batch(8)
    mask = jnp.arange(8) < 5
    got = step(tiny_params(), tiny_stats(), images, labels, mask)
    want = step(tiny_params(), tiny_stats(), images[:5], labels[:5], mask[:5])
    assert int(got["images"]) == 5 and int(got["correct"]) == int(want["correct"])
    assert float(got["loss"]) == pytest.approx(float(want["loss"]), rel=1e-6)
    none = step(tiny_params(), tiny_stats(), images, labels, jnp.zeros(8, bool))
    assert float(none["loss"]) == 0 and int(none["images"]) == 0
