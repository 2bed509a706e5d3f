"""Whether a network takes images of a size: asked before anything is written, computed or read for it."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxconv.models import Network


def require_fit(model: Network, size: tuple[int, int]) -> None:
    """Refuse a size at which an output inside the network would be empty, or which it does not take.

    Args:
        model: the network; `key=None` is enough.
        size: (height, width) of its images in pixels.

    Raises:
        ValueError: naming the network, the size and what does not fit.
    """
    from jaxconv.nn import functionalize

    apply, params, batch_stats = functionalize(model, key=None)
    image = jax.ShapeDtypeStruct((1, *size, model.info.in_chans), jnp.float32)

    def forward(params: Any, batch_stats: Any, x: jax.Array) -> jax.Array:
        return apply(params, batch_stats, x, train=False)[0]

    try:
        jax.eval_shape(forward, params, batch_stats, image)
    except ValueError as error:
        raise ValueError(
            f"{model.info.name} takes images that leave each layer something to look at; "
            f"of {size[0]}x{size[1]} pixels: {error}"
        ) from error
