"""The fully connected layer."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.nn import initializers
from jaxconv.nn.variables import parameter, per_channel, read


class Dense(nnx.Module):
    """x @ kernel + bias over the last axis: each output sees every input.

    Args:
        in_features: length of the last axis of the input.
        out_features: length of the last axis of the output.
        use_bias: whether a bias is added.
        kernel_init: draws the kernel (in_features, out_features).
        bias_init: draws the bias (out_features,).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        use_bias: bool = True,
        kernel_init: initializers.Initializer = initializers.lecun,
        bias_init: initializers.Initializer = initializers.zeros,
    ):
        self.kernel = parameter((in_features, out_features), kernel_init)
        self.bias = parameter((out_features,), bias_init) if use_bias else None

    def __call__(
        self, x: Float[Array, "*batch i"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch o"]:
        """Maps x (..., in_features) to (..., out_features).

        Raises:
            ValueError: if the last axis of x has another length than `in_features`.
        """
        kernel = read(self.kernel, x.dtype)
        if x.shape[-1] != kernel.shape[0]:
            raise ValueError(
                f"A dense layer reads {kernel.shape[0]} features from the last axis; x of shape {x.shape} has "
                f"{x.shape[-1]}."
            )
        y = jnp.matmul(x, kernel)
        return y if self.bias is None else y + per_channel(read(self.bias, y.dtype), y)
