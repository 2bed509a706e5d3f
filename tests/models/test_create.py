"""The tables and `create_model`: what every network answers to."""

import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from models.samples import SMALLEST

from jaxconv import models, nn
from jaxconv.models import MODELS, create_model, list_models, model_info


def abstract(name, **settings):
    model = create_model(name, key=None, **settings)
    return model, *nn.functionalize(model, key=None)


def output_shapes(model, apply, params, batch_stats, *, train=False, size=None):
    """Shapes of what a call returns, of two images."""
    height, width = size or model.info.input_size
    x = jax.ShapeDtypeStruct((2, height, width, model.info.in_chans), jnp.float32)

    def run(params, batch_stats, x):
        return apply(params, batch_stats, x, train=train, key=jax.random.key(0))[0]

    return jax.tree.map(lambda out: out.shape, jax.eval_shape(run, params, batch_stats, x))


def test_names_match_patterns():
    assert list_models("nielsen*") == sorted(name for name in MODELS if name.startswith("nielsen"))
    assert list_models() == sorted(MODELS) and list_models("*net5") == ["lenet5"] and list_models("nothing") == []


EACH = [name if name in SMALLEST else pytest.param(name, marks=pytest.mark.slow) for name in list_models()]


@pytest.mark.parametrize("name", EACH)
def test_row_holds_what_is_built(name):
    info, model = model_info(name), create_model(name, key=None)
    assert info.name == name and model.info == info
    params = jax.tree.leaves(nnx.state(model, nnx.Param))
    assert sum(int(np.prod(leaf.shape)) for leaf in params) == info.parameters


@pytest.mark.parametrize("name", SMALLEST)
def test_output_is_a_row_of_classes(name):
    info = model_info(name)
    model, apply, params, batch_stats = abstract(name)
    assert output_shapes(model, apply, params, batch_stats) == (2, info.num_classes)
    assert output_shapes(model, apply, params, batch_stats, train=True) == (2, info.num_classes)


@pytest.mark.parametrize("name", SMALLEST)
def test_classes_and_channels(name):
    model, apply, params, batch_stats = abstract(name, num_classes=7, in_chans=2)
    assert (model.info.num_classes, model.info.in_chans) == (7, 2)
    assert output_shapes(model, apply, params, batch_stats) == (2, 7)
    headless = abstract(name, num_classes=0)
    (count, width) = output_shapes(*headless)
    assert count == 2 and width > 10


@pytest.mark.parametrize("name", [name for name in SMALLEST if not model_info(name).fixed_input_size])
def test_any_size_where_no_size_is_fixed(name):
    assert output_shapes(*abstract(name), size=(143, 111)) == (2, model_info(name).num_classes)


@pytest.mark.parametrize("name", [name for name in SMALLEST if model_info(name).fixed_input_size])
def test_a_fixed_size_is_fixed(name):
    height, width = model_info(name).input_size
    with pytest.raises(ValueError, match="A dense layer reads"):
        output_shapes(*abstract(name), size=(height + 4, width + 4))


def test_building_declares_and_a_key_draws():
    assert {type(v.get_value()) for v in [create_model("lenet5", key=None).c1.kernel]} == {jax.ShapeDtypeStruct}
    one, same, other = (np.asarray(create_model("lenet5", key=key).c1.kernel[...]) for key in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).all()


def test_unknown_names_list_the_closest():
    for function in (create_model, model_info):
        with pytest.raises(ValueError, match=r"no network 'lenett5'\. The closest names: lenet5"):
            function("lenett5")
        with pytest.raises(ValueError, match=r"no network 'ResNeXt50'\. The closest names: resnext50_32x4d"):
            function("ResNeXt50")
        with pytest.raises(ValueError, match=r"no network ''\. The closest names: alexnet"):
            function("")


def test_a_setting_that_a_network_does_not_offer():
    with pytest.raises(ValueError, match=r"lenet5 offers num_classes, in_chans: got drop_rate=0\.5, aux_logits=True"):
        create_model("lenet5", drop_rate=0.5, aux_logits=True)


def test_what_a_network_does_anyway_may_be_asked_of_it():
    model = create_model("lenet5", drop_rate=0.0, drop_path_rate=0.0, output_stride=32)
    assert model(jnp.ones((1, 32, 32, 1))).shape == (1, 10)
    with pytest.raises(ValueError, match=r"lenet5 offers num_classes, in_chans: got output_stride=16\."):
        create_model("lenet5", output_stride=16)


def test_no_published_weights():
    with pytest.raises(ValueError, match="No published weights are known for lenet5"):
        create_model("lenet5", pretrained=True)


def test_drop_rate_is_the_rows_unless_given():
    assert create_model("nielsen_dropout", key=None).dropout.rate == 0.5
    assert create_model("nielsen_dropout", drop_rate=0.0, key=None).dropout.rate == 0.0
    assert create_model("googlenet_paper", key=None).dropout.rate == 0.4


def test_features_only_returns_levels():
    model, apply, params, batch_stats = abstract("conv_pyramid", features_only=True)
    assert "fc" not in params and model.out_indices == (0, 1, 2)
    maps = ((2, 32, 24, 16), (2, 16, 12, 64), (2, 8, 6, 256))
    assert output_shapes(model, apply, params, batch_stats, size=(64, 48)) == maps
    chosen = abstract("conv_pyramid", features_only=True, out_indices=(-1, 0))
    assert output_shapes(*chosen, size=(64, 48)) == (maps[2], maps[0])


@pytest.mark.parametrize("levels", [(3,), (-4,), ()])
def test_levels_exist(levels):
    with pytest.raises(ValueError, match=r"conv_pyramid has 3 levels, numbered from 0: got out_indices="):
        create_model("conv_pyramid", features_only=True, out_indices=levels)


@pytest.mark.parametrize("levels", [2, (1.0,)])
def test_levels_are_whole_numbers(levels):
    with pytest.raises(TypeError, match="out_indices must be a sequence of whole numbers"):
        inspect.unwrap(models._levels)(create_model("conv_pyramid", key=None), True, levels)


def test_levels_need_features_only():
    with pytest.raises(ValueError, match="picks levels for features_only=True"):
        create_model("conv_pyramid", out_indices=(0,))


def test_global_pools():
    kept = abstract("conv_pyramid", global_pool="", num_classes=0)
    assert output_shapes(*kept, size=(16, 16)) == (2, 2, 2, 256)
    model = create_model("conv_pyramid", num_classes=0, global_pool="max")
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 16, 16, 3)), jnp.float32)
    np.testing.assert_allclose(model(x), np.asarray(model.features(x)[-1]).max((1, 2)), rtol=1e-6)
    with pytest.raises(ValueError, match=r"global_pool is one of 'avg', 'max', .*: got 'median'"):
        create_model("conv_pyramid", global_pool="median")
    with pytest.raises(ValueError, match=r"global_pool='' leaves a map.*num_classes=10"):
        create_model("conv_pyramid", global_pool="")
