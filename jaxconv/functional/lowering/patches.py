"""Kernel gradients where windows lie side by side, as in a stem of patches: products of a rearranged map.

Every element of the input is in one window at most, so a map of patches, all their elements as channels, is the input
itself in another order, and the convolution one of windows of one element.
"""

from jaxconv.functional.lowering import blocks, pointwise
from jaxconv.functional.lowering.taps import pad


def conv_kernel_grad(x, dy, *, window, strides, padding, dilation, groups):
    """See `plain.conv_kernel_grad`, for windows as long as the strides."""
    seen = [o * w for o, w in zip(dy.shape[1:-1], window)]
    x = pad(x, [(low, size - low - had) for size, had, (low, _) in zip(seen, x.shape[1:-1], padding)])
    patches = blocks.to_channels(x, window)
    ones, none = (1,) * len(window), ((0, 0),) * len(window)
    points = dict(window=ones, strides=ones, padding=none, dilation=ones, groups=1)
    dkernel = pointwise.conv_kernel_grad_rows(patches, dy, **points)
    return dkernel.reshape(*window, x.shape[-1], dy.shape[-1])
