"""Stochastic depth as a module, and the rates of a network's blocks."""

from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F


class DropPath(nnx.Module):
    """`functional.stochastic_depth` in training: whole examples of a residual branch are dropped with this rate.

    Args:
        rate: probability of a zero, in [0, 1).

    Raises:
        ValueError: if the rate is outside [0, 1).
    """

    def __init__(self, rate: int | float):
        if not 0 <= rate < 1:
            raise ValueError(f"A drop path rate is a probability in [0, 1): got {rate}.")
        self.rate = rate

    def __call__(
        self, x: Float[Array, "n *rest"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n *rest"]:
        """Drops examples of the branch x, of any shape, in training; otherwise returns x.

        Raises:
            ValueError: in training with a positive rate, if no key is given.
        """
        if not train or self.rate == 0:
            return x
        if key is None:
            raise ValueError(
                "Drop path in training draws at random: pass a key, module(x, train=True, key=jax.random.key(0)). "
                f"Got rate={self.rate} and key=None."
            )
        return F.stochastic_depth(x, self.rate, key)


def rising_rates(last: int | float, blocks: int) -> list[float]:
    """The drop path rate of each of `blocks` blocks: from 0, in equal steps, to `last` (Huang et al., section 3)."""
    return [last * block / max(blocks - 1, 1) for block in range(blocks)]
