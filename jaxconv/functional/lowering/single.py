"""Convolutions whose window stands in one place of each image: products with what it sees there, as one vector."""

from jax import lax

from jaxconv.functional.lowering.taps import pad, tap, untap


def conv(x, kernel, *, strides, padding, dilation, groups):
    """See `plain.conv`."""
    *window, _, k = kernel.shape
    y = lax.dot_general(_seen(x, window, padding, dilation), kernel.reshape(-1, k), (((1,), (0,)), ((), ())))
    return y.reshape(-1, *(1 for _ in window), k)


def conv_input_grad(dy, kernel, *, space, strides, padding, dilation, groups):
    """See `plain.conv_input_grad`."""
    *window, c, k = kernel.shape
    seen = lax.dot_general(dy.reshape(-1, k), kernel.reshape(-1, k), (((1,), (1,)), ((), ())))
    ones = (1,) * len(window)
    return untap(seen.reshape(-1, *window, c), (0,) * len(window), dilation, ones, space, padding)


def conv_kernel_grad(x, dy, *, window, strides, padding, dilation, groups):
    """See `plain.conv_kernel_grad`."""
    c, k = x.shape[-1], dy.shape[-1]
    sums = lax.dot_general(_seen(x, window, padding, dilation), dy.reshape(-1, k), (((0,), (0,)), ((), ())))
    return sums.reshape(*window, c, k)


def _seen(x, window, padding, dilation):
    """The elements that the window sees, (n, taps of c)."""
    ones = (1,) * len(window)
    return tap(pad(x, padding), (0,) * len(window), dilation, ones, window).reshape(x.shape[0], -1)
