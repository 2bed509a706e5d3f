"""`pretrained`: offline, from a cache laid out as the hub's, and from files and folders of one's own."""

import shutil

import jax
import numpy as np
import pytest

from jaxconv.models import create_model, model_info, save_weights
from jaxconv.models.load import state_variables
from jaxconv.train.processes import is_final

NAME, TAG = "test_resnet", "r160_in1k"


def weights_of(model, name: str) -> np.ndarray:
    leaf, node = state_variables(model)[name]
    value = np.asarray(node.get_value())
    return np.moveaxis(value, (-1, -2), (0, 1)) if leaf == "kernel" else value


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A network whose weights stand for the published ones, and their file."""
    folder = tmp_path_factory.mktemp("published")
    model = create_model(NAME, key=7)
    save_weights(model, folder / "model.safetensors")
    return model, folder


@pytest.fixture
def hub(published, tmp_path, monkeypatch):
    """A cache as the hub's library lays it out, and no network."""
    constants = pytest.importorskip("huggingface_hub.constants")
    commit = "0123456789abcdef0123456789abcdef01234567"
    repository = tmp_path / f"models--timm--{NAME}.{TAG}"
    for part in ("blobs", "refs", f"snapshots/{commit}"):
        (repository / part).mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copy(published[1] / "model.safetensors", repository / "blobs" / "abc")
    (repository / "snapshots" / commit / "model.safetensors").symlink_to("../../blobs/abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return repository


@pytest.mark.parametrize("name", [NAME, f"{NAME}.{TAG}"])
def test_from_the_cache_of_the_hub(hub, published, name):
    model = create_model(name, pretrained=True, key=None)
    for entry in state_variables(model):
        np.testing.assert_array_equal(weights_of(model, entry), weights_of(published[0], entry), err_msg=entry)


def test_a_checkpoint_that_is_not_there(hub):
    shutil.rmtree(hub)
    with pytest.raises(
        ValueError, match=rf"timm/{NAME}\.{TAG} has none of model\.safetensors, .* or cannot be reached"
    ):
        create_model(NAME, pretrained=True)


def test_a_hub_that_cannot_be_reached_is_asked_once(hub, monkeypatch):
    hub_library = pytest.importorskip("huggingface_hub")
    asked = []

    def download(repository, name, *, local_files_only):
        asked.append((name, local_files_only))
        raise errors.LocalEntryNotFoundError("no network.")

    errors = pytest.importorskip("huggingface_hub.errors")
    monkeypatch.setattr(hub_library, "hf_hub_download", download)
    with pytest.raises(ConnectionError, match=r"cannot be reached: no network\.$") as caught:
        create_model(NAME, pretrained=True)
    assert asked == [("model.safetensors", False), ("pytorch_model.bin", True)] and not is_final(caught.value)


def test_from_a_folder_and_from_a_file(published):
    model, folder = published
    for place in (folder, str(folder / "model.safetensors")):
        found = create_model(NAME, pretrained=place, key=None)
        np.testing.assert_array_equal(weights_of(found, "fc.weight"), weights_of(model, "fc.weight"))


def test_a_folder_without_weights(tmp_path):
    with pytest.raises(ValueError, match=r"holds none of model\.safetensors, pytorch_model\.bin"):
        create_model(NAME, pretrained=tmp_path)


def test_another_number_of_classes_keeps_the_drawn_classifier(published):
    model, folder = published
    fine = create_model(NAME, num_classes=7, pretrained=folder, key=3)
    np.testing.assert_array_equal(
        weights_of(fine, "fc.weight"), weights_of(create_model(NAME, num_classes=7, key=3), "fc.weight")
    )
    np.testing.assert_array_equal(weights_of(fine, "conv1.0.weight"), weights_of(model, "conv1.0.weight"))
    bare = create_model(NAME, num_classes=0, pretrained=folder, key=None)
    assert not [name for name in state_variables(bare) if name.startswith("fc")]


def test_other_channels_sum_or_repeat_the_first_convolution(published):
    model, folder = published
    kernel = weights_of(model, "conv1.0.weight")
    grey = create_model(NAME, in_chans=1, pretrained=folder, key=None)
    np.testing.assert_array_equal(weights_of(grey, "conv1.0.weight"), kernel.sum(1, keepdims=True))
    five = create_model(NAME, in_chans=5, pretrained=folder, key=None)
    expected = np.concatenate([kernel, kernel[:, :2]], 1) * np.float32(3 / 5)
    np.testing.assert_array_equal(weights_of(five, "conv1.0.weight"), expected)


def test_features_of_published_weights(published):
    model = create_model(NAME, features_only=True, pretrained=published[1])
    x = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
    assert [y.shape[-1] for y in jax.eval_shape(lambda x: model(x), x)] == [32, 32, 48, 192, 96]


def test_a_tag_brings_its_preprocessing():
    assert model_info("resnet50.a3_in1k").input_size == (160, 160) and model_info("resnet50").tag == "a1_in1k"
    model = create_model("convnext_tiny.fb_in22k", key=None)
    assert model.info.num_classes == 21841 and model.info.tag == "fb_in22k"


def test_unknown_tags_and_networks_without_weights():
    with pytest.raises(ValueError, match=r"resnet50 has no checkpoint 'a9_in1k': it has ra_in1k, am_in1k, a3_in1k"):
        create_model("resnet50.a9_in1k", key=None)
    with pytest.raises(ValueError, match="No published weights are known for lenet5"):
        create_model("lenet5", pretrained=True)


def test_weights_of_ones_own_for_a_network_without_published_ones(tmp_path):
    for name in ("lenet5", "regnetz_005"):
        model = create_model(name, key=5)
        save_weights(model, tmp_path / "model.safetensors")
        found = create_model(name, pretrained=tmp_path, key=None)
        for entry in state_variables(model):
            np.testing.assert_array_equal(weights_of(found, entry), weights_of(model, entry), err_msg=entry)


def test_names_of_torchvision_for_a_network_of_timm(tmp_path):
    """Where both have a network, a file is read in the names that it has."""
    torchvision, torch = pytest.importorskip("torchvision"), pytest.importorskip("torch")
    theirs = torchvision.models.efficientnet_b0().state_dict()
    torch.save(theirs, tmp_path / "a.pth")
    found = create_model("efficientnet_b0", pretrained=tmp_path / "a.pth", key=None)
    for ours, name in (("conv_stem.weight", "features.0.0.weight"), ("classifier.weight", "classifier.1.weight")):
        np.testing.assert_array_equal(weights_of(found, ours), theirs[name].numpy(), err_msg=ours)


def test_where_only_torchvision_publishes_weights():
    info = model_info("efficientnet_b6.imagenet1k_v1")
    assert info.interpolation == "bicubic" and info.tag == "imagenet1k_v1"
    with pytest.raises(
        ValueError, match=r"not on the hub: download https://download\.pytorch\.org/models/efficientnet_b6"
    ):
        create_model("efficientnet_b6", pretrained=True, key=None)


def test_inputs_that_torchvision_transforms_itself():
    """Its Inceptions see (x - 0.5) / 0.5 with their published weights (`transform_input`)."""
    for name in ("googlenet", "inception_v3.imagenet1k_v1"):
        assert model_info(name).mean == model_info(name).std == (0.5, 0.5, 0.5)


def test_a_checkpoint_of_another_network(tmp_path):
    save_weights(create_model("lenet5"), tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"does not fit test_resnet: .* missing"):
        create_model(NAME, pretrained=tmp_path)


def test_weights_of_torchvision(tmp_path):
    """Its names, its auxiliary heads, and an address instead of a repository."""
    full = create_model("googlenet", aux_logits=True, key=5)
    save_weights(full, tmp_path / "model.safetensors")
    plain = create_model("googlenet", num_classes=10, pretrained=tmp_path, key=1)
    np.testing.assert_array_equal(weights_of(plain, "conv1.conv.weight"), weights_of(full, "conv1.conv.weight"))
    assert weights_of(plain, "fc.weight").shape == (10, 1024)
    with pytest.raises(ValueError, match=r"not on the hub: download https://download\.pytorch\.org/models/alexnet"):
        create_model("alexnet", pretrained=True)
