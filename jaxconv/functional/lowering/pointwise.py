"""Convolutions whose window is one element: matrix products over the channels."""

from jax import lax

from jaxconv.functional.lowering.chunk import add_over_images
from jaxconv.functional.lowering.taps import out_space, pad, tap, untap

# Measured on the layers of ResNet-50, 8 images: as fast as 1024 or faster.
_ROWS = 512


def conv(x, kernel, *, strides, padding, dilation, groups):
    """See `plain.conv`."""
    kernel = kernel.reshape(kernel.shape[-2:])
    seen = _seen(x, strides, padding, dilation)
    return lax.dot_general(seen, kernel, (((seen.ndim - 1,), (0,)), ((), ())))


def conv_input_grad(dy, kernel, *, space, strides, padding, dilation, groups):
    """See `plain.conv_input_grad`."""
    kernel = kernel.reshape(kernel.shape[-2:])
    dx = lax.dot_general(dy, kernel, (((dy.ndim - 1,), (1,)), ((), ())))
    return untap(dx, (0,) * len(space), strides, dilation, space, padding)


def conv_kernel_grad(x, dy, *, window, strides, padding, dilation, groups):
    """See `plain.conv_kernel_grad`; one product."""
    dkernel = _outer(*_rows(x, dy, strides, padding, dilation))
    return dkernel.reshape(*window, x.shape[-1], dy.shape[-1])


def conv_kernel_grad_rows(x, dy, *, window, strides, padding, dilation, groups):
    """See `plain.conv_kernel_grad`; a product for some rows at a time.

    A product transposes its left factor. Of all rows at once that is a pass over memory with long strides, in which XLA
    also computes anew whatever elementwise work has led to the factor.
    """
    dkernel = add_over_images(_outer, *_rows(x, dy, strides, padding, dilation), at_once=_ROWS)
    return dkernel.reshape(*window, x.shape[-1], dy.shape[-1])


def _outer(x, dy):
    contract = (((0,), (0,)), ((), ()))
    if x.shape[-1] <= dy.shape[-1]:
        return lax.dot_general(x, dy, contract)
    # The narrow one should be the factor that is transposed: 1.3 to 3 times faster. Without the barrier XLA puts the
    # factors back.
    return lax.optimization_barrier(lax.dot_general(dy, x, contract)).T


def _rows(x, dy, strides, padding, dilation):
    seen = _seen(x, strides, padding, dilation)
    return seen.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])


def _seen(x, strides, padding, dilation):
    out = out_space(x.shape[1:-1], (1,) * len(strides), strides, padding, dilation)
    return tap(pad(x, padding), (0,) * len(strides), strides, dilation, out)
