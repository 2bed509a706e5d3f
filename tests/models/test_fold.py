"""The deploy form: which norms go into which convolutions, and that nothing but the layers changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from models.compiled import fast_jit
from models.parity.noise import moved
from models.parity.record import distance
from models.scattered import scattered

import jaxconv
from jaxconv.models import Network, create_model
from jaxconv.models.fold import foldable_norms
from jaxconv.models.network import ModelInfo
from jaxconv.nn import BatchNorm, Conv
from jaxconv.nn.norm_act import BatchNormAct
from jaxconv.nn.standardized import StandardizedConv

FOLDED = {
    "conv_pyramid": (3, 3),
    "convmixer_768_32": (65, 0),  # each behind an activation
    "densenet121": (121, 59),  # the first of each layer, and of each transition, reads a map that others read
    "efficientnet_cc_b0_4e": (49, 25),  # kernels that depend on the image keep theirs
    "efficientnet_lite0": (49, 49),
    "googlenet": (57, 57),
    "inception_resnet_v2": (204, 204),
    "inception_v3": (94, 94),
    "inception_v4": (149, 149),
    "legacy_seresnet18": (20, 20),
    "legacy_xception": (40, 40),
    "mixnet_s": (49, 49),  # of several convolutions joined
    "mobilenetv4_conv_small": (46, 46),
    "mobileone_s0": (0, 0),  # all in branches
    "regnetv_040": (66, 22),  # as in resnetv2, and the third behind the gate
    "regnetx_002": (44, 44),
    "repvgg_a0": (0, 0),
    "resnetv2_18": (17, 8),  # each before its convolution: only the second of a block follows one
    "shufflenet_v2_x0_5": (56, 56),
    "squeezenet1_1": (0, 0),
    "test_byobnet": (14, 14),
    "test_convnext": (0, 0),
    "test_nfnet": (0, 0),
    "test_resnet": (15, 15),
    "vgg11_bn": (8, 8),
    "xception41": (84, 84),
}
"""Batch norms of a network of each family (branches fused), and how many of them are folded."""
FAST = ("conv_pyramid", "resnetv2_18", "test_byobnet", "test_resnet")
PARTLY = ("convmixer_768_32", "densenet121", "efficientnet_cc_b0_4e")
"""Not all norms may be folded: which ones is asked in every suite."""


def norms(model) -> int:
    return sum(isinstance(module, BatchNorm) for _, module in nnx.iter_modules(model))


def run(model, x, draws=0):
    """Logits, and the pyramid, with everything computed in the dtype of x: one program, as both share the trunk.

    Then the same with every weight rounded anew, `draws` times.
    """
    graph, state = nnx.split(model)

    def answers(state, x):
        network = nnx.merge(graph, state)
        return network.logits(x), *network.features(x)

    program = fast_jit(answers)
    state = jax.tree.map(lambda w: np.asarray(w, x.dtype), state)
    return [program(state, x) for state in (state, *(moved(state, seed) for seed in range(draws)))]


def distances(ours, theirs) -> list[float]:
    return [distance(a, b) for a, b in zip(ours, theirs, strict=True)]


CASES = [
    *FAST,
    *(pytest.param(n, marks=[pytest.mark.slow, pytest.mark.zoo]) for n in FOLDED if n not in FAST),
]


@pytest.mark.parametrize("name", CASES)
def test_same_answers_of_fewer_layers(name):
    """To 1e-4 in float64, where only the new kernels are rounded; and in float32, as far as float32 can say.

    On these values gates multiply rounding from block to block: the logits that mixnet_s computes in float32 are 4e-4
    from those that it computes in float64, those of regnetv_040 1e-3, without any fold; with its weights rounded anew
    efficientnet_cc_b0_4e gives one of two answers 2.2e-4 apart, in float64 too. So in float32 a fold is measured from
    the float64 of the network, and may be as far from it as the network itself and as the network with its weights
    rounded anew. All are draws of rounding, hence the 4.
    """
    model = scattered(create_model(name))
    fused, folded = jaxconv.models.reparameterize(model), jaxconv.fold(model)
    before, after = norms(fused), norms(folded)
    assert (before, before - after) == FOLDED[name] and len(foldable_norms(fused)) == before - after
    assert not any(isinstance(module, StandardizedConv) for _, module in nnx.iter_modules(folded))
    assert norms(model) == norms(create_model(name, key=None))
    side = 128 if "inception" in name else 64
    x = np.random.default_rng(0).standard_normal((2, side, side, 3)).astype(np.float32)
    with jax.enable_x64(True):
        exact, *anew = run(model, jnp.asarray(x, jnp.float64), draws=5)
        assert max(found := distances(run(folded, jnp.asarray(x, jnp.float64))[0], exact)) < 1e-4, found
    ours, its_own = (distances(run(network, jnp.asarray(x))[0], exact) for network in (folded, model))
    limits = [max(1e-4, 4 * max(draws)) for draws in zip(its_own, *(distances(a, exact) for a in anew), strict=True)]
    assert all(found < limit for found, limit in zip(ours, limits, strict=True)), (ours, limits)


@pytest.mark.parametrize("name", PARTLY)
def test_how_many_are_folded(name):
    model = create_model(name, key=None)
    assert (norms(model), len(foldable_norms(model))) == FOLDED[name]


class Tiny(Network):
    """`conv` and `bn`, put together by `join`."""

    level_names = ("conv",)
    info = ModelInfo("tiny", "", 0, input_size=(8, 8), in_chans=3)

    def __init__(self, join, conv=None, norm=None, level=None):
        self.conv, self.bn = conv or Conv(3, 4, 3, padding=1), norm or BatchNorm(4)
        self.other, self.join, self.level = Conv(4, 4, 3, padding=1), join, level or join

    def features(self, x, train=False, key=None):
        return (self.level(self, x),)

    def logits(self, x, train=False, key=None):
        return self.join(self, x)


def plain(net, x):
    return net.bn(net.conv(x))


@pytest.mark.parametrize(
    ("tiny", "convs"),
    [
        (lambda: Tiny(plain), ("conv",)),
        (lambda: Tiny(plain, norm=BatchNormAct(4, jax.nn.silu)), ("conv",)),
        (lambda: Tiny(plain, conv=StandardizedConv(3, 4, 3, padding=1, use_bias=False)), ("conv",)),
        (lambda: Tiny(joined, norm=BatchNorm(8)), ("conv", "other")),
    ],
    ids=["bias", "activation", "standardized", "joined"],
)
def test_what_is_folded(tiny, convs):
    model = scattered(tiny())
    assert foldable_norms(model) == {"bn": convs}
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 8, 8, 3)), jnp.float32)
    folded = jaxconv.fold(model)
    assert norms(folded) == 0 and type(folded.conv) is Conv
    np.testing.assert_allclose(folded(x), model(x), rtol=2e-5, atol=2e-5)


def test_only_the_result_is_rounded():
    model = scattered(Tiny(plain, conv=StandardizedConv(3, 4, 3, padding=1)))
    kernel, bias, scale, shift, mean, variance = (
        np.asarray(variable.get_value(), np.float64)
        for variable in (model.conv.kernel, model.conv.bias, model.bn.scale, model.bn.bias, model.bn.mean, model.bn.var)
    )
    factor = scale / np.sqrt(variance + model.bn.epsilon)
    standard = (kernel - kernel.mean((0, 1, 2))) / np.sqrt(kernel.var((0, 1, 2)) + model.conv.epsilon)
    conv = jaxconv.fold(model).conv
    np.testing.assert_array_equal(conv.kernel.get_value(), np.float32(standard * factor))
    np.testing.assert_array_equal(conv.bias.get_value(), np.float32((bias - mean) * factor + shift))


def joined(net, x):
    return net.bn(jnp.concatenate([net.conv(x), net.other(jnp.concatenate([x, x[..., :1]], -1))], -1))


@pytest.mark.parametrize(
    "join",
    [
        lambda net, x: net.bn(net.conv(x)) + net.conv(x),
        lambda net, x: net.bn(y := net.conv(x)) + y,
        lambda net, x: net.bn(jax.nn.relu(net.conv(x))),
        lambda net, x: net.bn(net.conv(x)[:, ::2]),
        lambda net, x: net.bn(net.bn(net.conv(x))),
        lambda net, x: net.bn(jnp.concatenate([net.conv(x)[..., :3], x[..., :1]], -1)),
        lambda net, x: net.bn(jnp.concatenate([net.conv(x), net.conv(x)], 1)),
        lambda net, x: net.other(net.bn(jnp.concatenate([x, x[..., :1]], -1))),
    ],
    ids=["conv twice", "read twice", "activation", "part", "norm twice", "not all", "in space", "no conv"],
)
def test_what_is_not_folded(join):
    model = scattered(Tiny(join))
    assert foldable_norms(model) == {}
    x = jnp.asarray(np.random.default_rng(0).standard_normal((2, 8, 8, 3)), jnp.float32)
    np.testing.assert_array_equal(jaxconv.fold(model)(x), model(x))


def test_a_map_of_the_pyramid_stays_what_it_is():
    assert foldable_norms(Tiny(plain, level=lambda net, x: net.conv(x))) == {}
    assert foldable_norms(Tiny(plain, level=lambda net, x: x)) == {"bn": ("conv",)}


def test_folding_needs_values():
    with pytest.raises(ValueError, match="Parameters are declared first"):
        jaxconv.fold(create_model("test_resnet", key=None))
