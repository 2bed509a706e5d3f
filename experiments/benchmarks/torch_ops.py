"""The cases of `ops` in torch (eager, oneDNN), in one of its two memory layouts."""

from collections.abc import Callable

import torch  # pyright: ignore[reportMissingImports]  (a peer, installed for this benchmark alone)
from cases import Conv, Pool, arrays, shapes

torch.set_num_threads(2)


def build(case: Conv | Pool, n: int, layout: str) -> dict[str, Callable]:
    """Functions by direction, as in `ops`. `layout`: NCHW, or NHWC for torch's channels_last."""
    return _conv(case, n, layout) if isinstance(case, Conv) else _pool(case, n, layout)


def _tensor(array, layout):
    tensor = torch.from_numpy(array)
    if layout == "NHWC":
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor.contiguous()


def _conv(case, n, layout):
    x, kernel, dy = arrays(*shapes(case, n))
    x, dy = (_tensor(a.transpose(0, 3, 1, 2), layout) for a in (x, dy))
    kernel = _tensor(kernel.transpose(3, 2, 0, 1), layout)
    padding = [1, 1] if case.transposed else [low for low, _ in case.padding]
    output_padding = [0, 0]
    settings = ([case.stride] * 2, padding, [case.dilation] * 2, case.transposed, output_padding, case.groups)

    def backward(mask):
        return lambda: torch.ops.aten.convolution_backward(dy, x, kernel, None, *settings, mask)

    return {
        "forward": lambda: torch.ops.aten.convolution(x, kernel, None, *settings),
        "input": backward([True, False, False]),
        "kernel": backward([False, True, False]),
    }


def _pool(case, n, layout):
    (x,) = arrays((n, case.side, case.side, case.channels))
    x = _tensor(x.transpose(0, 3, 1, 2), layout)
    sizes = (case.window, case.stride, case.padding)

    def pool(x):
        if case.kind == "max":
            return torch.nn.functional.max_pool2d(x, *sizes)
        return torch.nn.functional.avg_pool2d(x, *sizes, divisor_override=1)

    dy = torch.ones_like(pool(x))

    def both():
        leaf = x.detach().requires_grad_()
        pool(leaf).backward(dy)
        return leaf.grad

    return {"forward": lambda: pool(x), "both": both}
