"""Norms that an activation belongs to, for networks whose blocks do not know which norm they have."""

from collections.abc import Callable

from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.nn.activation import Activation, identity
from jaxconv.nn.evonorm import EvoNormS0
from jaxconv.nn.norm import BatchNorm
from jaxconv.nn.still_norm import GroupNorm, LayerNorm

NormAct = Callable[[int, Activation | None], Callable[..., Array]]


class BatchNormAct(BatchNorm):
    """`BatchNorm`, then an activation."""

    def __init__(
        self, channels: int, activation: Activation | None = None, *, epsilon: int | float = 1e-5, momentum=0.1
    ):
        super().__init__(channels, epsilon=epsilon, momentum=momentum)
        self.activation = activation or identity

    def __call__(
        self, x: Float[Array, "n *space c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n *space c"]:
        """Normalizes and activates x (n, *space, channels)."""
        return self.activation(super().__call__(x, train))


class GroupNormAct(GroupNorm):
    """`GroupNorm`, its groups given by number or by size, then an activation."""

    def __init__(
        self,
        channels: int,
        activation: Activation | None = None,
        *,
        groups: int = 32,
        group_size: int = 0,
        epsilon: int | float = 1e-5,
    ):
        super().__init__(channels, groups=channels // group_size if group_size else groups, epsilon=epsilon)
        self.activation = activation or identity

    def __call__(
        self, x: Float[Array, "n *space c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n *space c"]:
        """Normalizes and activates x (n, *space, channels)."""
        return self.activation(super().__call__(x, train))


class LayerNormAct(LayerNorm):
    """`LayerNorm`, then an activation."""

    def __init__(self, channels: int, activation: Activation | None = None, *, epsilon: int | float = 1e-5):
        super().__init__(channels, epsilon=epsilon)
        self.activation = activation or identity

    def __call__(
        self, x: Float[Array, "*batch c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "*batch c"]:
        """Normalizes and activates x (..., channels)."""
        return self.activation(super().__call__(x, train))


def evonorm_s0(
    channels: int, activation: Activation | None = None, *, group_size: int, epsilon: int | float = 1e-5
) -> EvoNormS0:
    """`EvoNormS0`, whose own activation takes the place of the given one; without activation it has none either."""
    groups = channels // group_size
    return EvoNormS0(channels, groups=groups, activated=activation is not None, epsilon=epsilon)
