"""Loading and saving weights: the report, what strict refuses, torchvision's names, and bits that come back."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxconv.models import create_model, load_weights, save_weights
from jaxconv.models.load import state_variables


def state_of(model) -> dict[str, np.ndarray]:
    save = {}
    for name, (leaf, node) in state_variables(model).items():
        value = np.asarray(node.get_value())
        save[name] = np.moveaxis(value, (-1, -2), (0, 1)) if leaf == "kernel" else value
    return save


def test_saved_weights_come_back_bit_for_bit(tmp_path):
    model, other = create_model("test_resnet", key=1), create_model("test_resnet", key=None)
    save_weights(model, tmp_path / "a.safetensors")
    report = load_weights(other, tmp_path / "a.safetensors")
    assert report.complete and len(report.loaded) == len(state_variables(model))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 64, 64, 3)), jnp.float32)
    np.testing.assert_array_equal(jax.jit(lambda x: model(x))(x), jax.jit(lambda x: other(x))(x))


def test_what_does_not_fit_is_reported_and_refused_before_anything_changes():
    model = create_model("test_resnet")
    before = state_of(model)
    given = dict(before)
    del given["fc.bias"]
    given["extra.weight"] = np.ones(3, np.float32)
    given["conv1.0.weight"] = np.ones((16, 4, 3, 3), np.float32)
    given["bn1.num_batches_tracked"] = np.array(3)
    with pytest.raises(
        ValueError, match=r"1 missing: fc\.bias; 1 unexpected: extra\.weight; 1 misshapen: conv1\.0"
    ) as e:
        load_weights(model, given)
    assert "(network (16, 3, 3, 3), weights (16, 4, 3, 3))" in str(e.value)
    for name, value in state_of(model).items():
        np.testing.assert_array_equal(value, before[name])
    report = load_weights(model, given, strict=False)
    assert report.missing == ("fc.bias",) and report.unexpected == ("extra.weight",)
    assert list(report.misshapen) == ["conv1.0.weight"] and not report.complete


def test_loaded_weights_do_not_follow_the_array_they_came_from():
    model = create_model("test_resnet")
    given = {name: aligned(value) for name, value in state_of(model).items()}
    load_weights(model, given)
    before = {name: value.copy() for name, value in given.items()}
    for value in given.values():  # as a torch network does that is trained on
        value += 1
    for name, value in state_of(model).items():
        np.testing.assert_array_equal(value, before[name])


def aligned(value: np.ndarray) -> np.ndarray:
    """A copy whose memory starts as torch's does, where jax would take it as it is."""
    memory = np.empty(value.nbytes + 64, np.uint8)
    copy = memory[-memory.ctypes.data % 64 :][: value.nbytes].view(value.dtype).reshape(value.shape)
    copy[...] = value
    return copy


def test_half_weights_become_float32():
    model = create_model("test_resnet", key=None)
    state = {name: value.astype(np.float16) for name, value in state_of(create_model("test_resnet")).items()}
    load_weights(model, state)
    assert {value.dtype for value in state_of(model).values()} == {np.dtype(np.float32)}


def test_torchvision_shapes_are_not_guessed():
    """Only dense layers on a map and layer scales are other shapes of the same numbers; a transposed kernel is not."""
    state = state_of(create_model("resnet18"))
    wrong = state | {
        "fc.weight": state["fc.weight"].T.copy(),
        "conv1.weight": np.ascontiguousarray(state["conv1.weight"].transpose(2, 3, 1, 0)),
    }
    report = load_weights(create_model("resnet18", key=None), wrong, source="torchvision", strict=False)
    assert set(report.misshapen) == {"fc.weight", "conv1.weight"}


def test_names_in_the_published_files_of_densenet():
    """As `torchvision.models.densenet._load_state_dict` finds them in the files behind its own addresses."""
    state = state_of(create_model("densenet121"))
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)\.", r"\1.\2.", name): value for name, value in state.items()}
    assert old.keys() != state.keys()
    model = create_model("densenet121", key=None)
    assert load_weights(model, old, source="torchvision").complete
    np.testing.assert_array_equal(
        state_of(model)["features.denseblock1.denselayer2.conv2.weight"],
        state["features.denseblock1.denselayer2.conv2.weight"],
    )


def test_sources_are_two():
    with pytest.raises(ValueError, match="source is one of timm, torchvision: got 'keras'"):
        load_weights(create_model("test_resnet"), {}, source="keras")


def test_torchvision_weights_bring_their_norms():
    model = create_model("mobilenetv3_small_100", key=None)
    load_weights(model, {"classifier.3.bias": np.zeros(1000, np.float32)}, source="torchvision", strict=False)
    assert (model.bn1.epsilon, model.bn1.momentum) == (1e-3, 0.01)
