import inspect
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from functional.compiled import compiled
from jax.test_util import check_grads

import jaxconv.functional as F


def draw(rng, n=5, k=4):
    logits = jnp.asarray(3 * rng.standard_normal((n, k)), jnp.float32)
    return logits, jnp.asarray(rng.integers(0, k, n), jnp.int32)


def log_softmax(logits):
    wide = np.asarray(logits, np.float64)
    return wide - np.log(np.exp(wide).sum(-1, keepdims=True))


@pytest.mark.parametrize("smoothing", [0, 0.1])
def test_cross_entropy_is_its_definition(smoothing, rng):
    logits, labels = draw(rng)
    hard = np.eye(4)[labels]
    targets = (1 - smoothing) * hard + smoothing / 4
    expected = -(targets * log_softmax(logits)).sum(-1).mean()
    assert float(compiled(F.cross_entropy, logits, labels, smoothing=smoothing)) == pytest.approx(expected, rel=1e-5)
    soft = jnp.asarray(hard, jnp.float32)
    assert float(compiled(F.cross_entropy, logits, soft, smoothing=smoothing)) == pytest.approx(expected, rel=1e-5)


def test_soft_labels(rng):
    logits, _ = draw(rng)
    targets = rng.dirichlet(np.ones(4), 5)
    expected = -(targets * log_softmax(logits)).sum(-1).mean()
    actual = compiled(F.cross_entropy, logits, jnp.asarray(targets, jnp.float32))
    assert float(actual) == pytest.approx(expected, rel=1e-5)


def test_multiclass_hinge_is_the_example_of_the_cs231n_notes():
    # Scores 13, -7, 11 with the first right and a margin of 10: max(0, -20 + 10) + max(0, -2 + 10) = 8.
    logits = jnp.asarray([[13.0, -7.0, 11.0]])
    assert float(compiled(F.multiclass_hinge, logits, jnp.asarray([0]), margin=10)) == 8


def test_multiclass_hinge_is_its_definition(rng):
    logits, labels = draw(rng)
    expected = np.mean(
        [
            sum(max(0.0, float(s[j]) - float(s[y]) + 1) for j in range(4) if j != y)
            for s, y in zip(np.asarray(logits), np.asarray(labels))
        ]
    )
    assert float(compiled(F.multiclass_hinge, logits, labels)) == pytest.approx(expected, rel=1e-5)


def test_binary_cross_entropy_is_its_definition(rng):
    logits, _ = draw(rng)
    targets = rng.uniform(0, 1, (5, 4))
    p = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    expected = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean()
    actual = compiled(F.binary_cross_entropy, logits, jnp.asarray(targets, jnp.float32))
    assert float(actual) == pytest.approx(expected, rel=1e-5)
    extreme = compiled(F.binary_cross_entropy, jnp.asarray([1000.0, -1000.0]), jnp.asarray([1, 0]))
    assert float(extreme) == 0
    assert float(compiled(F.binary_cross_entropy, jnp.asarray([1000.0, -1000.0]), jnp.asarray([False, True]))) == 1000


CALLS = {
    "hard": lambda logits, labels, where=None: F.cross_entropy(logits, labels, smoothing=0.1, where=where),
    "soft": lambda logits, labels, where=None: F.cross_entropy(
        logits, jax.nn.one_hot(labels, logits.shape[-1]), where=where
    ),
    "hinge": lambda logits, labels, where=None: F.multiclass_hinge(logits, labels, where=where),
    "binary": lambda logits, labels, where=None: F.binary_cross_entropy(
        logits, jax.nn.one_hot(labels, logits.shape[-1]), where=where
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_masked_examples_do_not_count(name, rng):
    logits, labels = draw(rng)
    where = jnp.asarray([True, False, True, True, False])
    spoiled, padded = logits.at[1].set(jnp.nan).at[4].set(jnp.inf), labels.at[1].set(-1).at[4].set(99)
    call = jax.jit(jax.value_and_grad(CALLS[name]))
    loss, gradient = call(spoiled, padded, where)
    assert float(loss) == pytest.approx(float(compiled(CALLS[name], logits[where], labels[where])), rel=1e-6)
    assert not np.asarray(gradient)[~where].any()
    assert float(call(spoiled, padded, jnp.zeros(5, bool))[0]) == 0


@pytest.mark.parametrize("name", CALLS)
def test_losses_are_float32(name):
    logits, labels = jax.ShapeDtypeStruct((5, 4), jnp.bfloat16), jax.ShapeDtypeStruct((5,), jnp.int32)
    assert jax.eval_shape(CALLS[name], logits, labels).dtype == jnp.float32


@pytest.mark.slow
def test_derivatives_of_second_order_in_both_modes(rng):
    logits, labels = draw(rng, 2, 3)
    both = jax.jit(lambda logits: CALLS["hard"](logits, labels) * CALLS["binary"](logits, labels))
    check_grads(both, (logits,), order=2, modes=("fwd", "rev"), rtol=3e-2, atol=3e-2)


@pytest.mark.parametrize("label", [-1, 4])
def test_a_label_without_a_class_is_seen(label, rng):
    logits, labels = draw(rng)
    labels = jnp.asarray(np.where(np.arange(5) == 2, label, labels), jnp.int32)
    assert np.isnan(compiled(F.cross_entropy, logits, labels))
    assert np.isnan(compiled(F.multiclass_hinge, logits, labels))


def test_a_class_ruled_out_by_minus_infinity(rng):
    logits, _ = draw(rng)
    ruled_out = logits.at[:, 3].set(-jnp.inf)
    loss, gradient = jax.jit(jax.value_and_grad(F.cross_entropy))(ruled_out, jnp.zeros(5, jnp.int32))
    assert float(loss) == pytest.approx(
        float(compiled(F.cross_entropy, logits[:, :3], jnp.zeros(5, jnp.int32))), rel=1e-6
    )
    assert bool(jnp.isfinite(gradient).all())


def test_mistakes():
    logits, labels = jnp.ones((5, 4)), jnp.zeros(5, jnp.int32)
    cross_entropy, hinge, binary = map(inspect.unwrap, (F.cross_entropy, F.multiclass_hinge, F.binary_cross_entropy))
    message = (
        "cross_entropy takes whole-numbered labels (n,) or floating (n, k) for logits (n, k); "
        "labels are float32 of shape (5,), logits have shape (5, 4)."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        cross_entropy(logits, labels.astype(jnp.float32))
    with pytest.raises(ValueError, match=re.escape("labels are int32 of shape (5, 1)")):
        cross_entropy(logits, labels[:, None])
    with pytest.raises(ValueError, match=r"multiclass_hinge takes whole-numbered labels \(n,\) for logits"):
        hinge(logits, logits)
    with pytest.raises(ValueError, match=re.escape("their shapes are (5,) and (5, 4).")):
        binary(logits, labels)
    with pytest.raises(TypeError, match=r"Logits and labels must be real numbers; got an array of complex64\."):
        binary(logits, logits.astype(complex))
    with pytest.raises(ValueError, match=r"smoothing must lie in \[0, 1\]; got 1.5"):
        compiled(F.cross_entropy, logits, labels, smoothing=1.5)


@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.int8, jnp.int16])
def test_labels_of_a_type_that_holds_no_number_of_classes(dtype, rng):
    logits = jnp.asarray(rng.standard_normal((2, 256)), jnp.float32)
    for loss in (F.cross_entropy, F.multiclass_hinge):
        wide, narrow = (loss(logits, jnp.asarray([0, 100], d)) for d in (jnp.int32, dtype))
        assert np.isfinite(narrow) and narrow == wide


@pytest.mark.parametrize(
    ("mask", "error", "message"),
    [
        (np.ones((4, 1), bool), ValueError, "where must be (n,), one for each of the 4 examples; its shape is (4, 1)."),
        (np.ones(1, bool), ValueError, "one for each of the 4 examples; its shape is (1,)."),
        (np.ones(3, bool), ValueError, "one for each of the 4 examples; its shape is (3,)."),
        (np.ones(4, np.float32), TypeError, "where must be bool, which examples count; its dtype is float32."),
    ],
)
def test_masks_are_one_bool_an_example(mask, error, message):
    logits, labels, mask = jnp.ones((4, 3)), jnp.zeros(4, jnp.int32), jnp.asarray(mask)
    calls = [(F.cross_entropy, labels), (F.multiclass_hinge, labels), (F.binary_cross_entropy, logits)]
    for loss, given in calls:
        with pytest.raises(error, match=re.escape(message)):
            inspect.unwrap(loss)(logits, given, where=mask)
    with pytest.raises(error, match=re.escape(message)):
        inspect.unwrap(F.batch_moments)(logits[:, None], where=mask)


@pytest.mark.parametrize("shape", [(3,), (4, 4, 3)])
def test_logits_are_a_row_an_example(shape):
    for loss in (F.cross_entropy, F.multiclass_hinge):
        with pytest.raises(ValueError, match=re.escape(f"takes logits (n, k); their shape is {shape}.")):
            inspect.unwrap(loss)(jnp.ones(shape), jnp.zeros(shape[0], jnp.int32))


def test_probabilities_are_of_examples():
    with pytest.raises(ValueError, match=r"logits must be \(n, \.\.\.\); its shape is \(\)\."):
        inspect.unwrap(F.binary_cross_entropy)(jnp.ones(()), jnp.ones(()), where=jnp.ones(1, bool))


def test_confident_answers_keep_their_digits():
    logits = jnp.asarray([[5.0], [12.0], [20.0], [-20.0]])
    labels = jnp.asarray([[1.0], [1.0], [1.0], [0.0]])
    exact = np.log1p(np.exp(-np.abs(np.asarray(logits, np.float64))))
    each = jax.vmap(lambda z, y: F.binary_cross_entropy(z[None], y[None]))(logits, labels)
    np.testing.assert_allclose(each, exact[:, 0], rtol=1e-6)
    gradients = jax.vmap(jax.grad(lambda z, y: F.binary_cross_entropy(z[None], y[None])))(logits, labels)
    np.testing.assert_allclose(
        gradients, -np.sign(logits) / (1 + np.exp(np.abs(np.asarray(logits, np.float64)))), rtol=1e-6
    )


def test_settings_of_numpy_widen_nothing():
    with jax.enable_x64(True):
        logits, labels = jnp.ones((2, 4), jnp.float32), jnp.zeros(2, jnp.int32)
        assert F.cross_entropy(logits, labels, smoothing=np.float64(0.1)).dtype == jnp.float32
        assert F.multiclass_hinge(logits, labels, margin=np.float64(1)).dtype == jnp.float32


@pytest.mark.parametrize("dtype", [jnp.int8, jnp.uint8, jnp.int32, jnp.uint32, jnp.int64])
def test_labels_of_every_type_under_strict_promotion(dtype):
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        logits, labels = jnp.ones((2, 4), jnp.bfloat16), jnp.zeros(2, dtype)
        for loss in (F.cross_entropy, F.multiclass_hinge):
            assert loss(logits, labels, where=jnp.ones(2, bool)).dtype == jnp.float32


def test_soft_labels_take_the_dtype_of_the_logits():
    for logits, labels, expected in ((jnp.float32, "float64", jnp.float32), ("float64", jnp.float32, "float64")):
        with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
            for loss in (F.cross_entropy, F.binary_cross_entropy):
                assert loss(jnp.ones((2, 4), logits), jnp.full((2, 4), 0.25, labels)).dtype == expected


def test_settings_are_numbers():
    logits, labels = jnp.ones((2, 4)), jnp.zeros(2, jnp.int32)
    with pytest.raises(TypeError, match=r"smoothing must be a number, known when traced; got 'a'\."):
        inspect.unwrap(F.cross_entropy)(logits, labels, smoothing="a")
    with pytest.raises(TypeError, match=r"margin must be a number, known when traced; got None\."):
        inspect.unwrap(F.multiclass_hinge)(logits, labels, margin=None)


def test_arrays_of_numpy_become_float32_quietly(rng):
    logits, labels, mask = rng.standard_normal((3, 4)), np.array([0, 2, 3]), np.ones(3, bool)
    for loss, given in ((F.cross_entropy, labels), (F.multiclass_hinge, labels), (F.binary_cross_entropy, logits > 0)):
        actual = inspect.unwrap(loss)(logits, given, where=mask)
        assert isinstance(actual, jax.Array) and actual.dtype == jnp.float32


@pytest.mark.parametrize("label", [2**32, -(2**32), 2**63 + 1, 2**32 + 1])
@pytest.mark.parametrize("loss", [F.cross_entropy, F.multiclass_hinge])
def test_labels_beyond_32_bits_are_no_classes(loss, label):
    """JAX keeps 32 bits of NumPy's 64, and with them another label."""
    labels = np.full(3, label, np.uint64 if label > 2**62 else np.int64)
    assert np.isnan(inspect.unwrap(loss)(np.arange(15, dtype=np.float32).reshape(3, 5), labels))


@pytest.mark.parametrize("dtype, k", [(np.uint8, 300), (np.int8, 200), (np.int64, 5)])
def test_labels_of_numpy_beside_any_number_of_classes(dtype, k):
    logits, labels = np.arange(2.0 * k).reshape(2, k), np.array([1, 2], dtype)
    expected = F.cross_entropy(jnp.asarray(logits), jnp.asarray([1, 2]))
    np.testing.assert_allclose(inspect.unwrap(F.cross_entropy)(jnp.asarray(logits), labels), expected)


@pytest.mark.parametrize("name", ["cross_entropy", "multiclass_hinge", "binary_cross_entropy"])
def test_logits_are_real_numbers(name):
    loss = inspect.unwrap(getattr(F, name))
    labels = jnp.zeros((2, 3)) if name == "binary_cross_entropy" else jnp.zeros(2, jnp.int32)
    for dtype in (jnp.bool_, jnp.complex64):
        with pytest.raises(TypeError, match=f"{name} takes real numbers; logits is {jnp.dtype(dtype)}"):
            loss(jnp.ones((2, 3), dtype), labels)


def test_other_labels_and_settings_that_are_refused():
    logits, labels = jnp.ones((2, 3)), jnp.zeros(2, jnp.int32)
    with pytest.raises(TypeError, match=r"cross_entropy takes real labels; they are complex64\."):
        inspect.unwrap(F.cross_entropy)(logits, jnp.ones((2, 3), jnp.complex64))
    with pytest.raises(ValueError, match=r"cross_entropy needs at least one class; logits have shape \(2, 0\)\."):
        F.cross_entropy(logits[:, :0], labels)
    with pytest.raises(ValueError, match=r"margin must be a number; got nan\."):
        F.multiclass_hinge(logits, labels, margin=float("nan"))
