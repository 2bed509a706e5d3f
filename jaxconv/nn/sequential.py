"""Layers one after another."""

from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.nn.dropout import branch_key


class Sequential(nnx.List):
    """Layers applied in order; their attribute paths are their numbers, as in PyTorch's `nn.Sequential`."""

    def __init__(self, *layers: nnx.Module):
        super().__init__(layers)

    def __call__(
        self, x: Float[Array, "n *space c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n *out k"]:
        """Applies each layer to what the one before returned."""
        for index, layer in enumerate(self):
            x = layer(x, train=train, key=branch_key(key, index))
        return x
