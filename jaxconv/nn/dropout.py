"""Dropout of values and of whole branches, and how one key serves many layers."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.functional.settings import number


def branch_key(key: PRNGKeyArray | None, branch: int) -> PRNGKeyArray | None:
    """The key of one child among several, or None where there is none to divide."""
    return None if key is None else jax.random.fold_in(key, branch)


class Dropout(nnx.Module):
    """In training, sets each value to zero with probability `rate` and divides the others by 1 - rate.

    Args:
        rate: probability of a zero, in [0, 1).

    Raises:
        TypeError: if the rate is no number.
        ValueError: if it is outside [0, 1).

    Reference: Srivastava et al. 2014, "Dropout", in the inverted form that leaves evaluation alone.
    """

    def __init__(self, rate: int | float):
        rate = number("rate", rate)
        if not 0 <= rate < 1:
            raise ValueError(f"A dropout rate is a probability in [0, 1): got {rate}.")
        self.rate = rate

    def __call__(
        self, x: Float[Array, "*shape"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*shape"]:
        """Drops values of x, of any shape, in training; otherwise returns x.

        Raises:
            ValueError: in training with a positive rate, if no key is given.
        """
        if not train or self.rate == 0:
            return x
        if key is None:
            raise ValueError(
                f"{type(self).__name__} in training draws at random: pass a key, "
                f"module(x, train=True, key=jax.random.key(0)). Got rate={self.rate} and key=None."
            )
        return self._dropped(x, key)

    def _dropped(self, x: Array, key: PRNGKeyArray) -> Array:
        kept = jax.random.bernoulli(key, 1 - self.rate, x.shape)
        return jnp.where(kept, x / (1 - self.rate), jnp.zeros((), x.dtype))


class DropPath(Dropout):
    """`functional.stochastic_depth` in training: whole examples of a residual branch are dropped with this rate."""

    def _dropped(self, x: Array, key: PRNGKeyArray) -> Array:
        return F.stochastic_depth(x, self.rate, key)


def rising_rates(last: int | float, blocks: int) -> list[float]:
    """The drop path rate of each of `blocks` blocks: from 0, in equal steps, to `last` (Huang et al., section 3)."""
    return [last * block / max(blocks - 1, 1) for block in range(blocks)]
