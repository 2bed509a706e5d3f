"""Networks written once for every framework: a function of a builder and an array.

A builder has the layers as methods (`conv`, `norm`, `dense`, `relu`, `max_pool`, ...) and hands out parameters in the
order in which layers ask for them, so all frameworks share one list of arrays. `Shapes` draws that list.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Network:
    """A function of (builder, x), the shape of one image, and the number of classes."""

    build: Callable
    image: tuple[int, int, int]
    classes: int


class Shapes:
    """The builder that only follows shapes (n, h, w, c), and draws parameters (He et al. 2015)."""

    def __init__(self):
        self.params: list[np.ndarray] = []
        self.rng = np.random.default_rng(0)

    def conv(self, x, features, window, stride=1, padding=None, groups=1):
        """A convolution without bias; `padding` None is half the window."""
        window, padding = sides(window, padding)
        fan_in = math.prod(window) * x[3] // groups
        kernel = self.rng.standard_normal((*window, x[3] // groups, features), "f")
        self.params.append(kernel * np.float32(math.sqrt(2 / fan_in)))
        return (x[0], *_out(x, window, stride, padding), features)

    def bias(self, x):
        """A bias for each channel."""
        self.params.append(np.zeros(x[-1], "f"))
        return x

    def norm(self, x):
        """Batch normalisation."""
        self.params += [np.ones(x[-1], "f"), np.zeros(x[-1], "f")]
        return x

    def dense(self, x, features):
        """A product with a matrix, and a bias."""
        matrix = self.rng.standard_normal((x[-1], features), "f") * np.float32(1 / math.sqrt(x[-1]))
        self.params += [matrix, np.zeros(features, "f")]
        return (x[0], features)

    def relu(self, x):
        """max(x, 0)."""
        return x

    def relu6(self, x):
        """min(max(x, 0), 6)."""
        return x

    def add(self, x, y):
        """X + y."""
        assert x == y
        return x

    def join(self, xs):
        """Arrays side by side along channels."""
        return (*xs[0][:3], sum(x[3] for x in xs))

    def join_dense(self, xs):
        """The same, where many layers read the result."""
        return self.join(xs)

    def max_pool(self, x, window, stride, padding=0):
        """Maximum over windows."""
        return (x[0], *_out(x, (window,) * 2, stride, (padding,) * 2), x[3])

    def mean_pool(self, x, window, stride, padding=0):
        """Mean over windows, padding counted."""
        return self.max_pool(x, window, stride, padding)

    def mean(self, x):
        """Mean over space."""
        return (x[0], x[3])

    def flatten(self, x):
        """All of an image in one dimension."""
        return (x[0], math.prod(x[1:]))


def sides(window, padding):
    """Window and padding as pairs."""
    window = window if isinstance(window, tuple) else (window, window)
    if padding is None:
        padding = tuple(w // 2 for w in window)
    return window, padding if isinstance(padding, tuple) else (padding, padding)


def _out(x, window, stride, padding):
    return ((size + 2 * p - w) // stride + 1 for size, w, p in zip(x[1:3], window, padding))


def _unit(b, x, features, window, stride=1, padding=None, groups=1, act: str | None = "relu"):
    x = b.norm(b.conv(x, features, window, stride, padding, groups))
    return getattr(b, act)(x) if act else x


def lenet(b, x):
    """Two 5x5 convolutions and two dense layers, 28x28x1."""
    for features in (32, 64):
        x = b.max_pool(b.relu(b.bias(b.conv(x, features, 5))), 2, 2)
    return b.dense(b.relu(b.dense(b.flatten(x), 256)), 10)


def _resnet(b, x, blocks, bottleneck, classes):
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        for number in range(count):
            stride = 2 if stage and not number else 1
            if bottleneck:
                y = _unit(b, _unit(b, x, width, 1), width, 3, stride)
                y = _unit(b, y, 4 * width, 1, act=None)
            else:
                y = _unit(b, _unit(b, x, width, 3, stride), width, 3, act=None)
            features = 4 * width if bottleneck else width
            if not number and (stride > 1 or bottleneck):
                x = _unit(b, x, features, 1, stride, act=None)
            x = b.relu(b.add(y, x))
    return b.dense(b.mean(x), classes)


def resnet18_cifar(b, x):
    """He et al. 2016 with the stem for 32x32."""
    return _resnet(b, _unit(b, x, 64, 3), (2, 2, 2, 2), False, 10)


def resnet50(b, x):
    """He et al. 2016, table 1, the stride in the 3x3 convolution."""
    return _resnet(b, b.max_pool(_unit(b, x, 64, 7, 2), 3, 2, 1), (3, 4, 6, 3), True, 1000)


def mobilenetv2(b, x):
    """Sandler et al. 2018, table 2."""
    x = _unit(b, x, 32, 3, 2, act="relu6")
    rows = (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
    channels = 32
    for expansion, features, count, first in rows:
        for stride in (first, *(1,) * (count - 1)):
            wide, y = channels * expansion, x
            if expansion > 1:
                y = _unit(b, y, wide, 1, act="relu6")
            y = _unit(b, y, wide, 3, stride, groups=wide, act="relu6")
            y = _unit(b, y, features, 1, act=None)
            x = b.add(x, y) if stride == 1 and channels == features else y
            channels = features
    return b.dense(b.mean(_unit(b, x, 1280, 1, act="relu6")), 1000)


def _chain(b, x, *layers):
    for layer in layers:
        x = _unit(b, x, *layer)
    return x


def inception_v3(b, x):
    """Szegedy et al. 2016, as torchvision has it, without the auxiliary head."""
    x = _chain(b, x, (32, 3, 2, 0), (32, 3, 1, 0), (64, 3))
    x = _chain(b, b.max_pool(x, 3, 2), (80, 1), (192, 3, 1, 0))
    x = b.max_pool(x, 3, 2)
    for pooled in (32, 64, 64):
        ways = [((64, 1),), ((48, 1), (64, 5)), ((64, 1), (96, 3), (96, 3))]
        x = b.join([_chain(b, x, *w) for w in ways] + [_unit(b, b.mean_pool(x, 3, 1, 1), pooled, 1)])
    ways = [((384, 3, 2, 0),), ((64, 1), (96, 3), (96, 3, 2, 0))]
    x = b.join([_chain(b, x, *w) for w in ways] + [b.max_pool(x, 3, 2)])
    for q in (128, 160, 160, 192):
        row, column = (q, (1, 7)), (q, (7, 1))
        ways = [((192, 1),), ((q, 1), row, (192, (7, 1))), ((q, 1), column, row, column, (192, (1, 7)))]
        x = b.join([_chain(b, x, *w) for w in ways] + [_unit(b, b.mean_pool(x, 3, 1, 1), 192, 1)])
    ways = [((192, 1), (320, 3, 2, 0)), ((192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3, 2, 0))]
    x = b.join([_chain(b, x, *w) for w in ways] + [b.max_pool(x, 3, 2)])
    for _ in range(2):
        y, z = _unit(b, x, 384, 1), _chain(b, x, (448, 1), (384, 3))
        crosses = [_unit(b, a, 384, window) for a in (y, z) for window in ((1, 3), (3, 1))]
        x = b.join([_unit(b, x, 320, 1), *crosses, _unit(b, b.mean_pool(x, 3, 1, 1), 192, 1)])
    return b.dense(b.mean(x), 1000)


def densenet121(b, x):
    """Huang et al. 2017, table 1."""

    def pre(x, features, window):
        return b.conv(b.relu(b.norm(x)), features, window)

    x = b.max_pool(_unit(b, x, 64, 7, 2), 3, 2, 1)
    channels = 64
    for stage, count in enumerate((6, 12, 24, 16)):
        for _ in range(count):
            x = b.join_dense([x, pre(pre(x, 128, 1), 32, 3)])
        channels += 32 * count
        if stage < 3:
            channels //= 2
            x = b.mean_pool(pre(x, channels, 1), 2, 2)
    return b.dense(b.mean(b.relu(b.norm(x))), 1000)


NETWORKS = {
    "lenet": Network(lenet, (28, 28, 1), 10),
    "resnet18_cifar": Network(resnet18_cifar, (32, 32, 3), 10),
    "resnet50": Network(resnet50, (224, 224, 3), 1000),
    "mobilenetv2": Network(mobilenetv2, (224, 224, 3), 1000),
    "inception_v3": Network(inception_v3, (299, 299, 3), 1000),
    "densenet121": Network(densenet121, (224, 224, 3), 1000),
}
