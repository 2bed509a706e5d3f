"""A trunk of numbered layers, as the reference keeps it, that returns the pyramid."""

from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.nn import MaxPool, Sequential


class Trunk(Sequential):
    """Layers in order, whose call returns the map before every pool and the last one."""

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride]  (a pyramid)
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> tuple[Float[Array, "n _h _w _c"], ...]:
        """The maps of x, finest first."""
        maps = []
        for layer in self:
            if isinstance(layer, MaxPool):
                maps.append(x)
            x = layer(x, train)
        return *maps, x
