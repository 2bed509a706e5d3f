"""Losses of a batch of logits, in float32, averaged over the examples that count."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer, Real

from jaxconv.functional.arrays import accumulator, check_arrays, check_mask, check_rank, real_array
from jaxconv.functional.settings import number


def cross_entropy(
    logits: Float[Array, "n k"],
    labels: Integer[Array, "n"] | Float[Array, "n k"],
    *,
    smoothing: int | float = 0.0,
    where: Bool[Array, "n"] | None = None,
) -> Float[Array, ""]:
    """Mean over examples of -sum of target * log softmax(logits).

    Args:
        logits: (n, k).
        labels: classes (n,), or distributions (n, k) as mixup and distillation make them.
        smoothing: weight of the uniform distribution mixed into the labels (Szegedy et al., arXiv:1512.00567).
        where: (n,), which examples count; the others may hold anything. With none at all the loss is zero.

    Returns:
        A scalar in float32 (float64 for float64). It is NaN if a label that counts is outside of 0 ... k - 1.

    Raises:
        TypeError: `where` is not of bool, an array not real, or `smoothing` no number.
        ValueError: labels that fit neither form, logits or a mask of another rank, no class, or `smoothing` outside of
            [0, 1].
    """
    smoothing = number("smoothing", smoothing)
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing must lie in [0, 1]; got {smoothing}.")
    _check_logits("cross_entropy", logits, labels)
    scores = jax.nn.log_softmax(_counting(logits, where))
    if labels.shape == logits.shape and jnp.issubdtype(labels.dtype, jnp.floating):
        picked = (_counting(labels, where).astype(scores.dtype) * scores).sum(-1)
    else:
        picked = _of_class(scores, _hard("cross_entropy", logits, labels))
    losses = -(1 - smoothing) * picked
    if smoothing:
        losses = losses - smoothing * scores.mean(-1)
    return _mean(losses, where)


def multiclass_hinge(
    logits: Float[Array, "n k"],
    labels: Integer[Array, "n"],
    *,
    margin: int | float = 1.0,
    where: Bool[Array, "n"] | None = None,
) -> Float[Array, ""]:
    """Mean over examples of the sum over wrong classes j of max(0, s_j - s_y + margin), the multiclass SVM loss.

    This is the sum over classes of Weston and Watkins (1999) and of the Stanford CS231n notes ("Linear
    classification"), not the largest violation alone (Crammer and Singer 2001), and not divided by k as in torch.

    Args:
        logits: (n, k).
        labels: classes (n,).
        margin: by how much the right score must exceed the others.
        where: (n,), which examples count; the others may hold anything. With none at all the loss is zero.

    Returns:
        A scalar in float32 (float64 for float64). It is NaN if a label that counts is outside of 0 ... k - 1.

    Raises:
        TypeError: `where` is not of bool, `logits` not real, or `margin` no number.
        ValueError: labels that are not (n,) whole numbers, logits or a mask of another rank, no class, or a `margin`
            that is NaN.
    """
    _check_logits("multiclass_hinge", logits, labels)
    labels = _hard("multiclass_hinge", logits, labels)
    logits = _counting(logits, where)
    right = _of_class(logits, labels)
    wrong = ~_chosen(logits, labels)
    violations = jnp.maximum(logits - right[:, None] + number("margin", margin, -math.inf), 0)
    return _mean(jnp.where(wrong, violations, 0).sum(-1), where)


def binary_cross_entropy(
    logits: Float[Array, "n *classes"],
    labels: Real[Array, "n *classes"] | Bool[Array, "n *classes"],
    *,
    where: Bool[Array, "n"] | None = None,
) -> Float[Array, ""]:
    """Mean over examples and classes of -y log p - (1 - y) log(1 - p) with p the logistic function of the logit.

    Written as y log(1 + exp(-z)) + (1 - y) log(1 + exp(z)), which neither overflows nor loses the digits of a
    confident answer.

    Args:
        logits: (n, ...).
        labels: probabilities (n, ...) in [0, 1], of the shape of `logits`.
        where: (n,), which examples count; the others may hold anything. With none at all the loss is zero.

    Returns:
        A scalar in float32 (float64 for float64).

    Raises:
        TypeError: `where` is not of bool, or an array not real.
        ValueError: no examples' dimension, shapes that differ, or a mask that is not (n,).
    """
    check_rank("(n, ...)", logits, 1, "logits")
    check_arrays(labels=labels)
    if logits.shape != labels.shape:
        raise ValueError(
            "labels must have the shape of logits, one probability for each; "
            f"their shapes are {labels.shape} and {logits.shape}."
        )
    logits = _counting(real_array("binary_cross_entropy", logits, "logits"), where)
    labels = _counting(labels, where).astype(logits.dtype)
    losses = labels * jax.nn.softplus(-logits) + (1 - labels) * jax.nn.softplus(logits)
    return _mean(losses.mean(tuple(range(1, losses.ndim))), where)


def _counting(x, where):
    """`x` in float32 at least, and zero where an example does not count.

    Whatever is there must not reach a gradient as 0 * NaN.
    """
    check_mask(where, x)
    if jnp.issubdtype(x.dtype, jnp.complexfloating):
        raise TypeError(f"Logits and labels must be real numbers; got an array of {x.dtype}.")
    x = jnp.asarray(x)
    x = x.astype(accumulator(x.dtype))
    return x if where is None else jnp.where(where.reshape(-1, *(1,) * (x.ndim - 1)), x, 0)


def _hard(name: str, logits, labels):
    if jnp.issubdtype(labels.dtype, jnp.complexfloating):
        raise TypeError(f"{name} takes real labels; they are {labels.dtype}.")
    if labels.shape != logits.shape[:1] or not jnp.issubdtype(labels.dtype, jnp.integer):
        soft = " or floating (n, k)" if name == "cross_entropy" else ""
        raise ValueError(
            f"{name} takes whole-numbered labels (n,){soft} for logits (n, k); labels are {labels.dtype} of shape "
            f"{labels.shape}, logits have shape {logits.shape}."
        )
    if isinstance(labels, np.ndarray) and labels.dtype.itemsize > 4:  # of 64 bits JAX would take 32, another class
        labels = labels.clip(None if labels.dtype.kind == "u" else -1, 2**31 - 1)
    labels = jnp.asarray(labels)
    return labels.astype(jnp.int32) if labels.dtype.itemsize < 4 else labels  # a narrow one may not hold k


def _check_logits(name: str, logits, labels) -> None:
    check_arrays(logits=logits, labels=labels)
    if logits.ndim != 2:
        raise ValueError(f"{name} takes logits (n, k); their shape is {logits.shape}.")
    if not logits.shape[1]:
        raise ValueError(f"{name} needs at least one class; logits have shape {logits.shape}.")
    real_array(name, logits, "logits")


def _chosen(scores, labels):
    """Whether an entry (n, k) is that of its example's label."""
    return jnp.arange(scores.shape[-1], dtype=labels.dtype)[None] == labels[:, None]


def _of_class(scores, labels):
    """scores[i, labels[i]], NaN where there is no such class."""
    picked = jnp.where(_chosen(scores, labels), scores, 0).sum(-1)
    return jnp.where((labels >= 0) & (labels < scores.shape[-1]), picked, jnp.nan)


def _mean(losses, where):
    if where is None:
        return losses.mean()
    counted = jnp.maximum(where.sum(dtype=losses.dtype), 1)
    return jnp.where(where, losses, 0).sum() / counted
