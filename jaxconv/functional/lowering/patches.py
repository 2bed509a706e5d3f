"""Gradients where windows lie side by side, as in a stem of patches: matrix products of a rearranged map.

Every element of the input is in one window at most, so a map of patches, all their elements as channels, is the input
itself in another order, and the convolution one of windows of one element.
"""

from jaxconv.functional.lowering import blocks, pointwise
from jaxconv.functional.lowering.taps import pad


def conv_input_grad(dy, kernel, *, space, strides, padding, dilation, groups):
    """See `plain.conv_input_grad`, for windows as long as the strides."""
    *window, _, k = kernel.shape
    patches = pointwise.conv_input_grad(dy, kernel.reshape(-1, k), space=dy.shape[1:-1], **_points(window))
    whole = blocks.from_channels(patches, window)
    return pad(whole, [(-low, low + size - had) for size, had, (low, _) in zip(space, whole.shape[1:-1], padding)])


def conv_kernel_grad(x, dy, *, window, strides, padding, dilation, groups):
    """See `plain.conv_kernel_grad`, for windows as long as the strides."""
    seen = [o * w for o, w in zip(dy.shape[1:-1], window)]
    x = pad(x, [(low, size - low - had) for size, had, (low, _) in zip(seen, x.shape[1:-1], padding)])
    patches = blocks.to_channels(x, window)
    dkernel = pointwise.conv_kernel_grad_rows(patches, dy, window=(1,) * len(window), **_points(window))
    return dkernel.reshape(*window, x.shape[-1], dy.shape[-1])


def _points(window):
    """Settings of a convolution of windows of one element, in as many dimensions."""
    return dict(strides=(1,) * len(window), padding=((0, 0),) * len(window), dilation=(1,) * len(window), groups=1)
