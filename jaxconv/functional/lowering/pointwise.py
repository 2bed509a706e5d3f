"""Convolutions whose window is one element: matrix products over the channels."""

from jax import lax

from jaxconv.functional.lowering.taps import out_space, pad, tap, untap


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
    """See `plain.conv_kernel_grad`."""
    seen = _seen(x, strides, padding, dilation)
    rows = tuple(range(dy.ndim - 1))
    contract = ((rows, rows), ((), ()))
    if x.shape[-1] <= dy.shape[-1]:
        dkernel = lax.dot_general(seen, dy, contract)
    else:
        # The product transposes its left factor, so that should be the narrow one: 1.3 to 3 times faster. Without the
        # barrier XLA puts the factors back.
        dkernel = lax.optimization_barrier(lax.dot_general(dy, seen, contract)).T
    return dkernel.reshape(*window, x.shape[-1], dy.shape[-1])


def _seen(x, strides, padding, dilation):
    out = out_space(x.shape[1:-1], (1,) * len(strides), strides, padding, dilation)
    return tap(pad(x, padding), (0,) * len(strides), strides, dilation, out)
