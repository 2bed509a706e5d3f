"""Whether a network takes images of a size: asked before anything is written, computed or read for it."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxconv.models import Network


def require_fit(model: Network, size: tuple[int, int], *, train: bool = False) -> None:
    """Refuse a size at which an output inside the network would be empty, or which it does not take.

    Args:
        model: the network; `key=None` is enough.
        size: (height, width) of its images in pixels.
        train: whether auxiliary heads must fit too, which only training calls.

    Raises:
        ValueError: naming the network, the size and what does not fit.
    """
    from jaxconv.nn import functionalize

    apply, params, batch_stats = functionalize(model, key=None)
    images = jax.ShapeDtypeStruct((2, *size, model.info.in_chans), jnp.float32)  # of one, a batch norm cannot learn

    def forward(params: Any, batch_stats: Any, x: jax.Array) -> Any:
        return apply(params, batch_stats, x, train=train, key=jax.random.key(0) if train else None)[0]

    try:
        jax.eval_shape(forward, params, batch_stats, images)
    except ValueError as error:
        raise ValueError(
            f"{model.info.name} takes images that leave each layer something to look at; "
            f"of {size[0]}x{size[1]} pixels: {error}"
        ) from error
