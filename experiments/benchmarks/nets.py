"""Time whole networks, inference and training steps, against XLA's own convolutions and pools, and torch.

Run: `python experiments/benchmarks/nets.py --against lax torch --only mobilenetv2 --modes infer train`

`lax` is the same network in which `lax.conv_general_dilated` and `lax.reduce_window` stand in place of ours, as in any
other library. torch counts with the fastest of NCHW and channels_last, eager and `torch.compile` (inductor; frozen for
inference). A training step is forward, backward and SGD with momentum; batch normalisation uses the statistics of the
batch in training and running ones in inference. All frameworks compute with the same parameters, and their outputs are
compared before anything is timed.

With `--steps 4` ours takes four training steps a call, in a loop inside the program, as `jaxconv.train` does on a CPU
(`stretches.py`); `singly`, and every peer, takes them one by one. Milliseconds are those of a step.
"""

import functools
from collections.abc import Callable

import alternate
import jax
import jax.numpy as jnp
import numpy as np
import tyro
from architectures import NETWORKS, Network, Shapes, sides

import jaxconv.functional as F
from jaxconv.functional import lowering
from jaxconv.functional.lowering import plain
from jaxconv.functional.lowering.stored import stored

# (network, mode, batch) of the comparison
CASES = (
    ("lenet", "train", 128),
    ("resnet18_cifar", "train", 128),
    ("mobilenetv2", "infer", 1),
    ("resnet50", "infer", 1),
    ("inception_v3", "infer", 1),
    ("densenet121", "infer", 1),
    ("mobilenetv2", "train", 16),
    ("resnet50", "train", 8),
    ("inception_v3", "train", 4),
    ("densenet121", "train", 4),
    ("lenet", "scan", 128),
)
_RATE, _MOMENTUM, _EPSILON = 0.01, 0.9, 1e-5
_SCANNED_STEPS = 6


class Jax:
    """The builder of a forward pass; `module` has the convolution and the pools."""

    def __init__(self, params, module, train):
        self.params, self.module, self.train = iter(params), module, train

    def conv(self, x, features, window, stride=1, padding=None, groups=1):
        """See `Shapes`, as for all layers."""
        _, padding = sides(window, padding)
        settings = dict(strides=(stride,) * 2, padding=tuple((p, p) for p in padding), dilation=(1, 1))
        return self.module.conv(x, next(self.params), groups=groups, **settings)

    def bias(self, x):
        return x + next(self.params)

    def norm(self, x):
        scale, bias = next(self.params), next(self.params)
        mean, variance = F.batch_moments(x) if self.train else (jnp.zeros_like(bias), jnp.ones_like(bias))
        return F.batch_norm(x, mean, variance, scale, bias, epsilon=_EPSILON)

    def dense(self, x, features):
        return x @ next(self.params) + next(self.params)

    def relu(self, x):
        return jax.nn.relu(x)

    def relu6(self, x):
        return jax.nn.relu6(x)

    def add(self, x, y):
        return x + y

    def join(self, xs):
        return jnp.concatenate(xs, -1)

    def join_dense(self, xs):
        # As our DenseNet does; with plain lax that would be another library's trick.
        return stored(self.join(xs)) if self.module is lowering else self.join(xs)

    def max_pool(self, x, window, stride, padding=0):
        return self.module.max_pool(x, **_pool(window, stride, padding))

    def mean_pool(self, x, window, stride, padding=0):
        return self.module.sum_pool(x, **_pool(window, stride, padding)) / window**2

    def mean(self, x):
        return x.mean((1, 2))

    def flatten(self, x):
        return x.reshape(x.shape[0], -1)


def _pool(window, stride, padding):
    return dict(window=(window,) * 2, strides=(stride,) * 2, padding=((padding,) * 2,) * 2)


def main(
    against: tuple[str, ...] = ("lax",),
    only: tuple[str, ...] = (),
    modes: tuple[str, ...] = ("infer", "train", "scan"),
    rounds: int = 7,
    compiled: bool = True,
    memory: bool = False,
    steps: int = 1,
) -> None:
    """Print one line a case: our milliseconds, then each peer's and how many times slower than ours it is.

    Args:
        against: peers out of lax, torch.
        only: names of the networks; none means all.
        modes: infer, train, and scan: a stretch of training steps in one `lax.scan`, against steps in a host loop.
        rounds: how many rounds are kept.
        compiled: whether torch.compile is among the torch variants; it takes minutes.
        memory: print the peak memory of the temporaries of each program, too.
        steps: training steps in a call of ours.
    """
    print(alternate.setting(), f"training steps a call of ours: {steps}")
    for name, mode, batch in CASES:
        if mode in modes and (not only or name in only):
            taken = steps if mode == "train" else 1
            variants = (
                _scan_variants(batch, against)
                if mode == "scan"
                else _variants(name, mode, batch, against, compiled, memory, taken)
            )
            result = alternate.compare(variants, rounds=rounds, block_milliseconds=100, limit_seconds=120)
            _report(f"{name} {mode} b{batch}", result, list(variants), taken)


def _report(label, result, names, steps):
    base = names[0]
    text = f"{label:24} {base} {result.milliseconds(base) / steps:9.2f} ms"
    for name in names[1:]:
        text += f" | {name} {result.milliseconds(name) / steps:9.2f} ms x{result.ratio(name, base):.2f}"
    torches = [name for name in names if name.startswith("torch")]
    if torches:
        text += f" | ours / best torch {result.ratio(base, result.fastest(torches)):.2f}"
    print(f"{text} | others {result.other_cores:.2f} cores", flush=True)


def draw(network: Network, batch: int):
    """Parameters, images (n, h, w, c) and labels."""
    shapes = Shapes()
    assert network.build(shapes, (batch, *network.image)) == (batch, network.classes)
    rng = np.random.default_rng(1)
    images = rng.standard_normal((batch, *network.image), "f")
    return shapes.params, images, rng.integers(0, network.classes, batch)


def _variants(name, mode, batch, against, compiled, memory, steps) -> dict[str, Callable]:
    network = NETWORKS[name]
    params, images, labels = draw(network, batch)
    modules = {"ours": lowering} | ({"lax": plain} if "lax" in against else {})
    programs = {key: program(network, module, mode, params, images, labels) for key, module in modules.items()}
    expected = programs["ours"][1]
    for key, (executable, result, _) in programs.items():
        _check(key, result, expected)
        if memory:
            analysis = executable.memory_analysis()
            assert analysis is not None
            print(f"  {key} temporaries {analysis.temp_size_in_bytes / 2**20:.0f} MiB")
    variants = {key: call for key, (_, _, call) in programs.items()}
    if "torch" in against:
        import torch_nets

        for key, (call, result) in torch_nets.build(network, mode, params, images, labels, compiled).items():
            _check(key, result, expected)
            variants[key] = call
    if steps == 1:
        return variants
    looped, loss = _looped(network, params, images, labels, steps)
    _check("ours, in a loop", loss, expected)
    singly = {"singly" if key == "ours" else key: _repeated(call, steps) for key, call in variants.items()}
    return {"ours": looped, **singly}


def _repeated(call, steps):
    def calls():
        for _ in range(steps):
            call()

    return calls


def _check(key, result, expected):
    error = np.abs(np.asarray(result) - expected).max() / np.abs(expected).max()
    assert error < 1e-3, f"{key} computes something else: relative error {error}"


def _forward(network, module, train, params, images):
    return network.build(Jax(params, module, train), images)


def _step(network, module, params, momenta, images, labels):
    def loss(params):
        logits = _forward(network, module, True, params, images)
        return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1).mean()

    value, grads = jax.value_and_grad(loss)(params)
    momenta = [_MOMENTUM * m + g for m, g in zip(momenta, grads)]
    return [p - _RATE * m for p, m in zip(params, momenta)], momenta, value


def program(network, module, mode, params, images, labels):
    """The compiled program, what it computes (logits, or the loss of the first step), and a call for timing."""
    params, images, labels = [jnp.asarray(p) for p in params], jnp.asarray(images), jnp.asarray(labels, jnp.int32)
    if mode == "infer":
        forward = jax.jit(functools.partial(_forward, network, module, False)).lower(params, images).compile()
        return forward, np.asarray(forward(params, images)), lambda: forward(params, images).block_until_ready()
    state = [params, [jnp.zeros_like(p) for p in params]]
    step = jax.jit(functools.partial(_step, network, module), donate_argnums=(0, 1))
    step = step.lower(*state, images, labels).compile()

    def call():
        *state[:], loss = step(*state, images, labels)
        return loss.block_until_ready()

    return step, np.asarray(call()), call


def _looped(network, params, images, labels, steps):
    """A call of several training steps, as the trainer makes them on a CPU, and the loss of the first step."""
    images, labels = np.stack([images] * steps), np.stack([labels.astype("i4")] * steps)

    @functools.partial(jax.jit, donate_argnums=0)
    def stretch(state, count, images, labels):
        def take(number, state):
            params, momenta, _ = state
            return list(_step(network, lowering, params, momenta, images[number], labels[number]))

        return jax.lax.fori_loop(0, count, take, state)

    params = [jnp.asarray(p) for p in params]
    state = [params, [jnp.zeros_like(p) for p in params], jnp.zeros(())]
    batches = jnp.asarray(images), jnp.asarray(labels)

    def call(count=steps):
        state[:] = stretch(state, np.int32(count), *batches)
        return state[-1].block_until_ready()

    return call, np.asarray(call(1))


def _scan_variants(batch, against):
    """A stretch of LeNet steps: a host loop over it, and one scan, with our forms and with plain ones."""
    network = NETWORKS["lenet"]
    params, images, labels = draw(network, batch)
    images, labels = (jnp.stack([jnp.asarray(a)] * _SCANNED_STEPS) for a in (images, labels.astype("i4")))
    variants, modules = {}, {"ours": lowering} | ({"lax": plain} if "lax" in against else {})
    for key, module in modules.items():
        state = [[jnp.asarray(p) for p in params], [jnp.zeros(p.shape) for p in params]]
        step = jax.jit(functools.partial(_step, network, module))
        slices = list(zip(images, labels))

        def loop(step=step, state=state, slices=slices):
            carry, loss = state, jnp.zeros(())
            for batch_ in slices:
                *carry, loss = step(*carry, *batch_)
            return loss.block_until_ready()

        @jax.jit
        def stretch(state, images, labels, module=module):
            def body(carry, batch_):
                *carry, loss = _step(network, module, *carry, *batch_)
                return carry, loss

            return jax.lax.scan(body, state, (images, labels))[1]

        scan = jax.jit(stretch).lower(state, images, labels).compile()
        variants[f"{key} loop"] = loop
        variants[f"{key} scan"] = lambda scan=scan, state=state: scan(state, images, labels).block_until_ready()
    return variants


if __name__ == "__main__":
    tyro.cli(main)
