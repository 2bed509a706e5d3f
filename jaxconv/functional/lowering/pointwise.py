"""Convolutions whose window is one element: matrix products over the channels."""

from jax import lax

from jaxconv.functional.lowering.chunk import add_over_images
from jaxconv.functional.lowering.taps import out_space, pad, tap, untap

# Measured on the layers of ResNet-50, 1, 8 and 32 images: up to _WHOLE rows at once (8 images of 28x28), or 1024 at a
# time, was 1.0 to 1.5 times as fast as 512 at a time; on two cores of an AMD EPYC (Zen 5) 2048 was 1.3 to 1.6 times as
# fast as 1024 for 8 images of 56x56, 64 to 256 channels and back, elsewhere 0.9 to 1.3. For fewer than _FEW (an image
# of 7x7) transposing does not pay, neither of a factor nor of the product.
_WHOLE, _ROWS, _FEW = 8192, 2048, 64


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
    dkernel = _narrow_first(_product, *_rows(x, dy, strides, padding, dilation))
    return dkernel.reshape(*window, x.shape[-1], dy.shape[-1])


def conv_kernel_grad_rows(x, dy, *, window, strides, padding, dilation, groups):
    """See `plain.conv_kernel_grad`; a product for some rows at a time, of a factor that is transposed before it.

    Left to the product, the transposition is a slow pass over memory. Of very many rows at once it has long strides,
    and XLA computes anew in it whatever elementwise work has led to the factor.
    """

    def product(left, right):
        few = isinstance(left.shape[0], int) and left.shape[0] <= _WHOLE
        return add_over_images(_transposed_product, left, right, at_once=left.shape[0] if few else _ROWS)

    dkernel = _narrow_first(product, *_rows(x, dy, strides, padding, dilation))
    return dkernel.reshape(*window, x.shape[-1], dy.shape[-1])


def _product(left, right):
    return lax.dot_general(left, right, (((0,), (0,)), ((), ())))


def _few(rows):
    return isinstance(rows.shape[0], int) and rows.shape[0] < _FEW


def _transposed_product(left, right):
    if _few(left):
        return _product(left, right)
    return lax.dot_general(lax.optimization_barrier(left.T), right, (((1,), (0,)), ((), ())))


def _narrow_first(product, x, dy):
    if x.shape[-1] <= dy.shape[-1] or _few(x):
        return product(x, dy)
    # The narrow one should be the factor that is transposed: 1.3 to 3 times faster. Without the barrier XLA puts the
    # factors back.
    return lax.optimization_barrier(product(dy, x)).T


def _rows(x, dy, strides, padding, dilation):
    seen = _seen(x, strides, padding, dilation)
    return seen.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])


def _seen(x, strides, padding, dilation):
    out = out_space(x.shape[1:-1], (1,) * len(strides), strides, padding, dilation)
    return tap(pad(x, padding), (0,) * len(strides), strides, dilation, out)
