"""Batch normalization with its scale, bias and running statistics."""

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

import jaxconv.functional as F
from jaxconv.nn import initializers
from jaxconv.nn.variables import parameter, read, statistic


class BatchNorm(nnx.Module):
    """`functional.batch_norm` with scale and bias as parameters and running mean and variance as batch statistics.

    In training the moments are those of the batch, over all axes but the last; otherwise the running ones. All four
    arrays and the moments are float32, whatever the dtype of the input, and the output has the input's dtype.

    The convention is PyTorch's: new = (1 - momentum) * old + momentum * batch, with the *unbiased* batch variance
    (Flax and TensorFlow write 1 - momentum where PyTorch writes momentum, and keep the biased variance).

    Args:
        channels: length of the last axis.
        momentum: weight of the newest batch in the running statistics, in (0, 1].
        epsilon: added to the variance.
        scale_init: draws the scale (channels,); `zeros` starts a residual branch at the identity.

    Reference: Ioffe and Szegedy, "Batch Normalization", arXiv:1502.03167, algorithms 1 and 2.
    """

    def __init__(
        self,
        channels: int,
        *,
        momentum: float = 0.1,
        epsilon: float = 1e-5,
        scale_init: initializers.Initializer = initializers.ones,
    ):
        self.momentum = momentum
        self.epsilon = epsilon
        self.scale = parameter((channels,), scale_init)
        self.bias = parameter((channels,), initializers.zeros)
        self.mean = statistic((channels,), initializers.zeros)
        self.var = statistic((channels,), initializers.ones)

    def __call__(
        self, x: Float[Array, "n *space c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n *space c"]:
        """Normalizes x (n, *space, channels); in training the running statistics move.

        Raises:
            ValueError: in training, if there is one value per channel: its variance says nothing.
        """
        mean, variance = self._batch_moments(x) if train else (self._running(self.mean), self._running(self.var))
        scale, bias = read(self.scale, jnp.float32), read(self.bias, jnp.float32)
        return F.batch_norm(x, mean, variance, scale, bias, epsilon=self.epsilon)

    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """What this is in evaluation: the factor and the shift (channels,) of each channel, in float64.

        Raises:
            ValueError: if the parameters are not drawn.
        """
        variables = self.scale, self.bias, self.mean, self.var
        scale, bias, mean, var = (np.asarray(read(variable, jnp.float32), np.float64) for variable in variables)
        factor = scale / np.sqrt(var + self.epsilon)
        return factor, bias - mean * factor

    def _batch_moments(self, x: Array) -> tuple[Array, Array]:
        count = x.size // x.shape[-1]
        if count < 2:
            raise ValueError(
                f"Batch norm in training needs more than one value per channel; x of shape {x.shape} has {count}."
            )
        mean, variance = F.batch_moments(x)
        self._move(self.mean, mean)
        self._move(self.var, variance * (count / (count - 1)))
        return mean, variance

    def _move(self, running: nnx.BatchStat, batch: Array) -> None:
        old, new = self._running(running), lax.stop_gradient(batch)
        running.set_value((1 - self.momentum) * old + self.momentum * new)

    def _running(self, running: nnx.BatchStat) -> Array:
        return read(running, jnp.float32)
