"""Convolutions of NHWC-like arrays with HWIO-like kernels, in 1, 2 or 3 spatial dimensions.

As everywhere in deep learning "convolution" is cross-correlation: kernels are not flipped. The rank is the kernel's,
there is exactly one batch axis, arrays share one floating dtype, and sums are kept in float32 for the half types. Add a
bias, an activation or a mask around the call; XLA fuses them. To half types add a float32 bias and cast the sum: JAX
adds up the gradient of a broadcast in its dtype.
"""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from jaxconv.functional import lowering, sizes
from jaxconv.functional.arrays import check_arrays, check_positions
from jaxconv.functional.settings import Padding, padding_per_dimension, per_dimension, whole


def conv(
    x: Float[Array, "n *space c"],
    kernel: Float[Array, "*window i k"],
    *,
    padding: Padding,
    strides: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Float[Array, "n *out k"]:
    """Cross-correlation, `lax.conv_general_dilated` in NHWC and HWIO.

    y[n, o, k] = sum over w and c of x[n, o * strides + w * dilation - low, c] * kernel[w, c, k], zeros outside of x.

    Where a form for the CPU shares sums among outputs, what is not finite in `x` reaches all that share it, as NaN: up
    to three more along a dimension (windows of 3, 5 and 7, and gradients with strides), and groups computed as one.

    The precision of products on TPU and GPU is that of `jax.default_matmul_precision` where the call is traced, for all
    derivatives too.

    Args:
        x: input (n, *space, c).
        kernel: (*window, c / groups, k); its rank is the rank of the convolution. torch's (k, c / groups, *window) is
            refused only where its sizes do not fit.
        padding: "SAME", "SAME_LOWER", "VALID", an int for every side, or ((low, high), ...). "SAME" at stride 2 pads
            (0, 1) where torch's padding=1 pads (1, 1); ports of torch networks pass the int.
        strides: step of the window, one int or one a dimension.
        dilation: distance of neighbouring kernel entries, one int or one a dimension.
        groups: input and output channels are cut into this many blocks, each convolved with its own kernels.

    Returns:
        (n, *out, k) in the dtype of `x`, with `out` as `window.output_shape` says.

    Raises:
        TypeError: the dtypes differ or are not floating, or the space is symbolic (`jax.export`) where the padding
            depends on it.
        ValueError: rank or channel mismatch, a bad setting, or an empty output.
    """
    rank, x, kernel = _rank(x, kernel), jnp.asarray(x), jnp.asarray(kernel)
    groups = whole("groups", groups, 1)
    _check_groups(x.shape[-1], kernel.shape, groups)
    strides, dilation = per_dimension("strides", strides, rank), per_dimension("dilation", dilation, rank)
    pairs = sizes.padding_pairs(x.shape[1:-1], kernel.shape[:-2], strides=strides, padding=padding, dilation=dilation)
    return lowering.conv(x, kernel, strides=strides, padding=pairs, dilation=dilation, groups=groups)


def depthwise_conv(
    x: Float[Array, "n *space c"],
    kernel: Float[Array, "*window c m"],
    *,
    padding: Padding,
    strides: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
) -> Float[Array, "n *out k"]:
    """Every channel convolved with `m` kernels of its own (`tf.nn.depthwise_conv2d`).

    Args:
        x: input (n, *space, c).
        kernel: (*window, c, m). Output channel j * m + i is input channel j under kernel[..., j, i].
        padding: as for `conv`.
        strides: as for `conv`.
        dilation: as for `conv`.

    Returns:
        (n, *out, c * m) in the dtype of `x`.

    Raises:
        TypeError: the dtypes differ or are not floating.
        ValueError: rank or channel mismatch, a bad setting, or an empty output.
    """
    _rank(x, kernel)
    x, kernel = jnp.asarray(x), jnp.asarray(kernel)
    channels, multiplier = kernel.shape[-2:]
    if x.shape[-1] != channels:
        raise ValueError(f"x has {x.shape[-1]} channels; depthwise kernel of shape {kernel.shape} takes {channels}.")
    if not channels:
        raise ValueError(f"x must have a channel to be convolved by itself; its shape is {x.shape}.")
    grouped = kernel.reshape(*kernel.shape[:-2], 1, channels * multiplier)
    return conv(x, grouped, padding=padding, strides=strides, dilation=dilation, groups=channels)


def separable_conv(
    x: Float[Array, "n *space c"],
    depthwise: Float[Array, "*window c m"],
    pointwise: Float[Array, "*ones cm k"],
    *,
    padding: Padding,
    strides: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
) -> Float[Array, "n *out k"]:
    """`depthwise_conv`, then a convolution with a window of one (`tf.nn.separable_conv2d`; Xception, arXiv:1610.02357).

    Args:
        x: input (n, *space, c).
        depthwise: (*window, c, m).
        pointwise: (1, ..., 1, c * m, k).
        padding: of the depthwise part, as for `conv`.
        strides: of the depthwise part, as for `conv`.
        dilation: of the depthwise part, as for `conv`.

    Returns:
        (n, *out, k) in the dtype of `x`.

    Raises:
        TypeError: the dtypes differ or are not floating.
        ValueError: rank or channel mismatch, a pointwise window above 1, a bad setting, or an empty output.
    """
    _check_pointwise(x, depthwise, pointwise)
    y = depthwise_conv(x, depthwise, padding=padding, strides=strides, dilation=dilation)
    return conv(y, jnp.asarray(pointwise), padding="VALID")


def _check_pointwise(x, depthwise, pointwise) -> None:
    _rank(x, depthwise)
    check_arrays(pointwise=pointwise)
    if pointwise.ndim != depthwise.ndim or math.prod(pointwise.shape[:-2]) != 1:
        raise ValueError(
            f"The pointwise kernel must have a window of ones, {depthwise.ndim - 2} of them; "
            f"its shape is {pointwise.shape}."
        )
    if pointwise.dtype != x.dtype:
        raise TypeError(
            "x and kernels must share a dtype, there is no promotion; "
            f"x is {x.dtype}, the pointwise kernel is {pointwise.dtype}."
        )
    if pointwise.shape[-2] != math.prod(depthwise.shape[-2:]):
        raise ValueError(
            f"The depthwise kernel of shape {depthwise.shape} makes {math.prod(depthwise.shape[-2:])} channels; "
            f"the pointwise kernel of shape {pointwise.shape} takes {pointwise.shape[-2]}."
        )


def conv_transpose(
    x: Float[Array, "n *space c"],
    kernel: Float[Array, "*window i k"],
    *,
    padding: Padding,
    strides: int | Sequence[int] = 1,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
    output_padding: int | Sequence[int] = 0,
) -> Float[Array, "n *out k"]:
    """Transposed convolution: the gradient, in its input, of the convolution from `out` back to `space`.

    Each x[n, s, c] adds x[n, s, c] * kernel[w, c, k] to y[n, s * strides + w * dilation - low, k]: every input stamps
    the kernel, unflipped, onto the output. This is `torch.nn.ConvTranspose2d`, whose weight (c, k / groups, *window) is
    this kernel with its axes moved, and `tf.nn.conv2d_transpose`, whose kernel is (*window, k, c).

    Args:
        x: input (n, *space, c).
        kernel: (*window, c / groups, k), input channels before output channels as in `conv`.
        padding: of the convolution that is transposed, so that it takes away from the output. An int or pairs: out =
            (space - 1) strides - low - high + F + output_padding with F = dilation (window - 1) + 1, as in torch.
            "SAME" and "SAME_LOWER": out = space * strides; "VALID": out = space * strides + max(F - strides, 0), as in
            TensorFlow and Keras.
        strides: step of the output from one input to the next, one int or one a dimension.
        dilation: distance of neighbouring kernel entries, one int or one a dimension.
        groups: input and output channels are cut into this many blocks, each with its own kernels.
        output_padding: places added behind, to choose among the sizes that a strided convolution takes to `space`.

    Returns:
        (n, *out, k) in the dtype of `x`, with `out` as `window.transposed_size` says.

    Raises:
        TypeError: the dtypes differ or are not floating.
        ValueError: rank or channel mismatch, a bad setting, or an empty output.
    """
    rank, x, kernel = _rank(x, kernel), jnp.asarray(x), jnp.asarray(kernel)
    groups = whole("groups", groups, 1)
    _check_groups(x.shape[-1], kernel.shape, groups)
    strides, dilation = per_dimension("strides", strides, rank), per_dimension("dilation", dilation, rank)
    extra = per_dimension("output_padding", output_padding, rank, least=0)
    space, pairs, edges = zip(
        *(
            _stamped(*setting)
            for setting in zip(
                x.shape[1:-1], kernel.shape[:-2], strides, padding_per_dimension(padding, rank), dilation, extra
            )
        )
    )
    y = lowering.conv_input_grad(
        x,
        _transposed(kernel, groups),
        space=space,
        strides=strides,
        padding=pairs,
        dilation=dilation,
        groups=groups,
    )
    if not any(map(any, edges)):
        return y
    return lax.pad(y, np.zeros((), y.dtype), ((0, 0, 0), *((*pair, 0) for pair in edges), (0, 0, 0)))


def _stamped(size, window, stride, padding, dilation, extra):
    """What the stamps reach of one dimension's output, its (low, high) padding, and the zeros before and behind it."""
    out = sizes.transposed_size(size, window, stride=stride, padding=padding, dilation=dilation, output_padding=extra)
    pair = padding
    if isinstance(padding, str):
        pair = sizes.explicit_padding(out, window, stride=stride, padding=padding, dilation=dilation)
    reached = (size - 1) * stride + sizes.extent(window, dilation) - pair[0]
    if reached < 1:  # The padding takes away all that is stamped: its last place is made, and cut off again.
        return 1, (pair[0] + reached - 1, 0), (-1, out)
    inside = min(out, reached)
    return inside, (pair[0], reached - inside), (0, out - inside)


def _transposed(kernel, groups: int):
    """From (*window, c / groups, k) to the kernel of the transposed convolution, (*window, k / groups, c)."""
    *window, i, k = kernel.shape
    split = kernel.reshape(*window, i, groups, k // groups)
    return split.swapaxes(-3, -1).reshape(*window, k // groups, groups * i)


def _rank(x, kernel) -> int:
    """The number of spatial dimensions, once ranks and dtypes agree."""
    check_arrays(x=x, kernel=kernel)
    if not 3 <= kernel.ndim <= 5:
        raise ValueError(
            f"kernel must be (*window, in, out) with 1 to 3 window dimensions; its shape is {kernel.shape}."
        )
    if x.ndim != kernel.ndim:
        raise ValueError(
            f"The kernel fixes the rank: x must be (n, *space, c) with {kernel.ndim - 2} spatial dimensions "
            f"for a kernel of shape {kernel.shape}; x has shape {x.shape}."
        )
    if x.dtype != kernel.dtype:
        raise TypeError(
            f"x and kernel must share a dtype, there is no promotion; x is {x.dtype}, kernel is {kernel.dtype}."
        )
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"x and kernel must be floating; they are {x.dtype}.")
    check_positions(x)
    return kernel.ndim - 2


def _check_groups(channels: int, kernel_shape: tuple[int, ...], groups: int) -> None:
    taken, made = kernel_shape[-2] * groups, kernel_shape[-1]
    if channels != taken:
        raise ValueError(
            f"x has {channels} channels; kernel of shape {kernel_shape} with groups={groups} takes {taken}."
        )
    if not made:
        raise ValueError(f"An output would be empty: kernel of shape {kernel_shape} makes no channels.")
    if made % groups:
        raise ValueError(
            f"groups must divide the output channels; kernel of shape {kernel_shape} makes {made}, groups={groups}."
        )
