"""Time every distinct convolution and pool of networks, and its gradients, against XLA's own forms.

Run: `PYTHONPATH=. python experiments/benchmarks/zoo_layers.py --networks resnet50 mobilenetv2_100 --images 1 8`

They are those of the step that `jaxconv train` takes, found in its jaxpr. One line a layer whose program is not XLA's
already: the primitive, our milliseconds, how many times faster than XLA's form ours is, shapes and settings; a layer
below 0.95 is timed again, longer, and that counts. Then for each primitive and batch how many there were, the
geometric mean, and how many were below 0.95.
"""

import statistics
import time
from collections.abc import Iterator

import alternate
import jax
import jax.numpy as jnp
import random_convs
import tyro
from cases import arrays
from jax.extend.core import subjaxprs  # pyright: ignore[reportPrivateImportUsage] (documented)

from jaxconv.cli.measured import program
from jaxconv.functional.lowering import choice, cpu, plain, pooling, trilinear
from jaxconv.models import create_model

NETWORKS = (
    "lenet5 alexnet vgg11_bn googlenet inception_v3 inception_v4 legacy_xception resnet18 resnet50 resnext50_32x4d "
    "densenet121 squeezenet1_1 shufflenet_v2_x1_0 mobilenetv2_100 mobilenetv3_large_100 efficientnet_b0 regnety_008 "
    "convnext_tiny repvgg_a0 mixnet_s seresnet50"
).split()
_TABLES = {"conv": choice.CONV, "conv_input_grad": choice.INPUT_GRAD, "conv_kernel_grad": choice.KERNEL_GRAD}
_POOLS = ("max_pool", "max_pool_scatter", "sum_pool", "sum_pool_transpose")
_SLOW = 0.95


def main(
    networks: tuple[str, ...] = tuple(NETWORKS),
    images: tuple[int, ...] = (1, 8),
    primitives: tuple[str, ...] = (*_TABLES, *_POOLS),
    seconds: float = 3600,
    part: tuple[int, int] = (0, 1),
) -> None:
    """Print the table.

    Args:
        networks: their names.
        images: batch sizes.
        primitives: names of the primitives that are timed.
        seconds: after so many no further layer is begun.
        part: (i, n), every n-th layer from the i-th on.
    """
    print(alternate.setting())
    start, found = time.perf_counter(), {}
    for number, ((name, shapes, settings), where) in enumerate(layers(networks, images, primitives).items()):
        if number % part[1] != part[0] or _is_plain(name, shapes, settings):
            continue
        if time.perf_counter() - start > seconds:
            print("out of time")
            break
        milliseconds, *ratios = _contest(name, shapes, dict(settings))
        found.setdefault((name, shapes[0][0]), []).append(ratios[-1])
        texts = " ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{name} {milliseconds:.3f} ms x {texts} {shapes} {_text(settings)} ({where})", flush=True)
    for (name, n), ratios in found.items():
        slower = sum(ratio < _SLOW for ratio in ratios)
        print(f"{name}, {n} images: {len(ratios)}, mean {statistics.geometric_mean(ratios):.2f}, below 0.95: {slower}")


def layers(networks, images, primitives) -> dict[tuple, str]:
    """Each distinct layer, (primitive, shapes of its arguments, settings), and the first network that has it."""
    found = {}
    for network in networks:
        model = create_model(network, key=None)
        for n in images:
            function, arguments, _ = program(model, "train", n)
            for eqn in _equations(jax.make_jaxpr(function)(*arguments).jaxpr):
                if eqn.primitive.name in primitives:
                    shapes = tuple(a.aval.shape for a in eqn.invars)
                    settings = {key: value for key, value in eqn.params.items() if key != "precision"}
                    found.setdefault((eqn.primitive.name, shapes, tuple(sorted(settings.items()))), network)
    return found


def _equations(jaxpr) -> Iterator:
    yield from jaxpr.eqns
    for inner in subjaxprs(jaxpr):
        yield from _equations(inner)


def _is_plain(name, shapes, settings) -> bool:
    if name not in _TABLES:
        return False
    settings = dict(settings)
    space, window = settings.pop("space", shapes[0][1:-1]), settings.pop("window", shapes[1][:-2])
    if name == "conv_kernel_grad":
        x, kernel = shapes[0], (*window, shapes[0][-1] // settings["groups"], shapes[1][-1])
    else:
        kernel = shapes[1]
        x = (shapes[0][0], *space, kernel[-2] * settings["groups"])
    case = cpu._case(x, kernel, sharded=0, **settings)
    return case is None or choice.pick(_TABLES[name], case) in (None, getattr(plain, name))


def _contest(name, shapes, settings) -> list[float]:
    """Our milliseconds, and how many times faster than XLA's form ours is; a second time where it is not."""
    values = list(map(jnp.asarray, arrays(*shapes)))
    functions = {"ours": getattr(trilinear if name in _TABLES else pooling, name), "lax": getattr(plain, name)}
    calls = {key: random_convs.compiled(function, values, settings) for key, function in functions.items()}
    result = alternate.compare(calls, rounds=3, block_milliseconds=8, limit_seconds=4)
    found = [result.milliseconds("ours"), result.ratio("lax", "ours")]
    if found[-1] < _SLOW:
        found.append(alternate.compare(calls, rounds=9, block_milliseconds=8, limit_seconds=4).ratio("lax", "ours"))
    return found


def _text(settings):
    shown = {"strides", "padding", "dilation", "groups", "window"}
    return " ".join(f"{key}={value}" for key, value in settings if key in shown)


if __name__ == "__main__":
    tyro.cli(main)
