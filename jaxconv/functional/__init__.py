"""Arrays in, arrays out: convolution, pooling, normalisation and losses, for code that is not jaxconv's own.

`import jaxconv.functional as F`. Activations are (n, *space, c), kernels (*window, in, out), in 1 to 3 dimensions.
"""

from jaxconv.functional import window
from jaxconv.functional.adaptive import (
    adaptive_avg_pool,
    adaptive_max_pool,
    global_avg_pool,
    global_max_pool,
)
from jaxconv.functional.augment import random_flip, random_shift
from jaxconv.functional.combine import (
    channel_shuffle,
    depth_to_space,
    inception,
    space_to_depth,
    squeeze_excite,
    stochastic_depth,
)
from jaxconv.functional.conv import conv, conv_transpose, depthwise_conv, separable_conv
from jaxconv.functional.loss import binary_cross_entropy, cross_entropy, multiclass_hinge
from jaxconv.functional.norm import (
    batch_moments,
    batch_norm,
    group_norm,
    layer_norm,
    local_response_norm,
    standardize_kernel,
)
from jaxconv.functional.pool import avg_pool, blur_pool, lp_pool, max_pool
from jaxconv.functional.remat import dots_and_convs_saveable

__all__ = [
    "adaptive_avg_pool",
    "adaptive_max_pool",
    "avg_pool",
    "batch_moments",
    "batch_norm",
    "binary_cross_entropy",
    "blur_pool",
    "channel_shuffle",
    "conv",
    "conv_transpose",
    "cross_entropy",
    "depth_to_space",
    "depthwise_conv",
    "dots_and_convs_saveable",
    "global_avg_pool",
    "global_max_pool",
    "group_norm",
    "inception",
    "layer_norm",
    "local_response_norm",
    "lp_pool",
    "max_pool",
    "multiclass_hinge",
    "random_flip",
    "random_shift",
    "separable_conv",
    "space_to_depth",
    "squeeze_excite",
    "standardize_kernel",
    "stochastic_depth",
    "window",
]
