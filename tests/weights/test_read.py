"""Every format gives the same tensors; nothing that is no tensor is run, and no damage goes unnamed."""

import builtins
import json
import os
import pickle
import zipfile
from collections import OrderedDict

import ml_dtypes
import numpy as np
import pytest
from weights import torchless
from weights.torchless import Tensor

from jaxconv.weights import read_weights, write_safetensors

RNG = np.random.default_rng(0)
STATE = {
    "conv.weight": RNG.standard_normal((4, 3, 3, 3)).astype(np.float32),
    "conv.bias": RNG.standard_normal(4).astype(np.float16),
    "fc.weight": RNG.standard_normal((5, 4)).astype(ml_dtypes.bfloat16),
    "bn.num_batches_tracked": np.array(7, np.int64),
}


def equal(found, state=STATE) -> None:
    assert list(found) == list(state) or found.keys() == state.keys()
    for name, value in state.items():
        assert found[name].dtype == value.dtype and found[name].shape == value.shape, name
        assert found[name].tobytes() == np.ascontiguousarray(value).tobytes(), name


@pytest.fixture(autouse=True)
def torch_names(monkeypatch):
    torchless.install(monkeypatch)


def tensors():
    return OrderedDict((name, Tensor(value, str(i))) for i, (name, value) in enumerate(STATE.items()))


@pytest.mark.parametrize("write", [torchless.write_zip, torchless.write_legacy])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_pytorch_files_whatever_they_are_called(tmp_path, write, suffix):
    path = tmp_path / f"weights{suffix}"
    write(path, tensors())
    equal(read_weights(path))


def test_safetensors_and_back(tmp_path):
    write_safetensors(STATE, tmp_path / "a.safetensors")
    equal(read_weights(tmp_path / "a.safetensors"))
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_a_header_whose_length_looks_like_json(tmp_path):
    """The first bytes of a safetensors file are a number, which may be a space and a brace."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).ljust(0x7B20).encode()
    whole = len(header).to_bytes(8, "little") + header + np.ones(2, np.float32).tobytes()
    assert whole.startswith(b" {")
    (tmp_path / "a.safetensors").write_bytes(whole)
    equal(read_weights(tmp_path / "a.safetensors"), {"a": np.ones(2, np.float32)})


def test_shards(tmp_path):
    write_safetensors({"conv.weight": STATE["conv.weight"]}, tmp_path / "1.safetensors")
    write_safetensors({"fc.weight": STATE["fc.weight"]}, tmp_path / "2.safetensors")
    index = {"weight_map": {"conv.weight": "1.safetensors", "fc.weight": "2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    equal(read_weights(tmp_path / "model.safetensors.index.json"), {k: STATE[k] for k in ("conv.weight", "fc.weight")})


def test_shards_of_pytorch_files(tmp_path):
    torchless.write_zip(tmp_path / "1.bin", {"conv.weight": Tensor(STATE["conv.weight"], "0")})
    torchless.write_legacy(tmp_path / "2.bin", {"fc.weight": Tensor(STATE["fc.weight"], "0")})
    index = {"weight_map": {"conv.weight": "1.bin", "fc.weight": "2.bin"}}
    (tmp_path / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    equal(read_weights(tmp_path / "pytorch_model.bin.index.json"), {k: STATE[k] for k in ("conv.weight", "fc.weight")})


def test_npz_and_mappings(tmp_path):
    np.savez(tmp_path / "a.npz", **STATE)
    np.savez_compressed(tmp_path / "b.npz", **STATE)
    for found in (tmp_path / "a.npz", tmp_path / "b.npz", STATE):
        equal(read_weights(found))


def test_numbers_of_another_byte_order(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.arange(3, dtype=">f4"))
    equal(read_weights(tmp_path / "a.npz"), {"a": np.arange(3, dtype=np.float32)})


@pytest.mark.parametrize("key", ["state_dict", "model", "state_dict_ema"])
def test_state_dicts_inside_checkpoints(tmp_path, key):
    wrapped = OrderedDict((f"module.{name}", value) for name, value in tensors().items())
    torchless.write_zip(tmp_path / "a.pth", {"epoch": 3, "arch": "resnet", key: wrapped, "optimizer": {"lr": 0.1}})
    equal(read_weights(tmp_path / "a.pth"))


def test_the_average_is_preferred(tmp_path):
    other = {name: np.zeros_like(value) for name, value in STATE.items()}
    torchless.write_zip(tmp_path / "a.pth", {"state_dict_ema": tensors(), "state_dict": {}})
    equal(read_weights(tmp_path / "a.pth"))
    equal(read_weights({"state_dict": other, "state_dict_ema": STATE}))


def test_views_of_one_storage(tmp_path):
    base = np.arange(12, dtype=np.float32).reshape(3, 4)
    shared = {"a": Tensor(base, "0"), "t": Tensor(base.T, "0", stride=(1, 4), base=base)}
    shared["row"] = Tensor(base[1], "0", offset=4, base=base)
    torchless.write_zip(tmp_path / "a.pth", shared)
    equal(read_weights(tmp_path / "a.pth"), {"a": base, "t": np.ascontiguousarray(base.T), "row": base[1]})


@pytest.mark.parametrize(("offset", "stride"), [(9, (4, 1)), (0, (5, 1)), (-1, (4, 1)), (0, (4, -1))])
def test_views_beyond_their_storage(tmp_path, offset, stride):
    base = np.arange(12, dtype=np.float32).reshape(3, 4)
    torchless.write_zip(tmp_path / "a.pth", {"a": Tensor(base, "0", offset=offset, stride=stride, base=base)})
    with pytest.raises(ValueError, match="reaches beyond its storage"):
        read_weights(tmp_path / "a.pth")


class Runs:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("write", [torchless.write_zip, torchless.write_legacy])
@pytest.mark.parametrize(("function", "named"), [(os.system, "system"), (builtins.eval, "eval"), (open, "open")])
def test_nothing_is_run(tmp_path, write, function, named):
    trace = tmp_path / "trace"
    argument = {"system": f"touch {trace}", "eval": f"open({str(trace)!r}, 'w')", "open": str(trace)}[named]
    arguments = (argument, "w") if named == "open" else (argument,)
    write(tmp_path / "evil.pth", {"a": Tensor(np.ones(2, np.float32), "0"), "b": Runs(function, *arguments)})
    with pytest.raises(ValueError, match=rf"evil\.pth is no file of tensors: it names \w+\.{named}, .* is not run"):
        read_weights(tmp_path / "evil.pth")
    assert not trace.exists()


def test_a_bare_pickle_is_refused_before_anything_is_run(tmp_path):
    (tmp_path / "a.bin").write_bytes(pickle.dumps(Runs(os.system, f"touch {tmp_path / 'trace'}"), protocol=2))
    with pytest.raises(ValueError, match="is not run"):
        read_weights(tmp_path / "a.bin")
    (tmp_path / "b.bin").write_bytes(pickle.dumps({"a": 1}, protocol=2))
    with pytest.raises(ValueError, match=r"is a pickle, but none of torch\.save"):
        read_weights(tmp_path / "b.bin")
    assert not (tmp_path / "trace").exists()


def test_a_refused_file_changes_nothing(tmp_path):
    """A pickle may set attributes of whatever it got hold of: of nothing that later files are read with."""
    torchless.write_zip(tmp_path / "good.pth", tensors())
    attacks = [
        b"\x80\x02ctorch\nHalfStorage\n}X\x05\x00\x00\x00dtypectorch\nFloatStorage\nsb.",
        b"\x80\x02ctorch\nHalfStorage\nN}X\x05\x00\x00\x00dtypeK\x02s\x86b.",
        b"\x80\x02ctorch._utils\n_rebuild_parameter\nN}X\x0c\x00\x00\x00__defaults__K\x02\x85s\x86b.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}X\x05\x00\x00\x00_callK\x02sb.",
        b"\x80\x02ccollections\nOrderedDict\nN}X\x04\x00\x00\x00keysK\x02s\x86b.",
        b"\x80\x02ctorch\ndevice\nN}X\x04\x00\x00\x00keysK\x02s\x86b.",
    ]
    for attack in attacks:
        with zipfile.ZipFile(tmp_path / "evil.pth", "w") as archive:
            archive.writestr("archive/data.pkl", attack)
        with pytest.raises(ValueError, match=r"evil\.pth is"):
            read_weights(tmp_path / "evil.pth")
        equal(read_weights(tmp_path / "good.pth"))


def test_a_mapping_that_holds_itself():
    state = {}
    state["model"] = {"model": state}
    with pytest.raises(ValueError, match="holds itself"):
        read_weights(state)


def written(folder, kind: str):
    path = folder / f"weights.{kind}"
    if kind == "safetensors":
        write_safetensors(STATE, path)
    elif kind == "npz":
        np.savez_compressed(path, **STATE)
    elif kind == "json":
        write_safetensors(STATE, folder / "1.safetensors")
        path.write_text(json.dumps({"weight_map": dict.fromkeys(STATE, "1.safetensors")}))
    else:
        {"pth": torchless.write_zip, "legacy": torchless.write_legacy}[kind](path, tensors())
    return path


@pytest.mark.parametrize("kind", ["safetensors", "npz", "json", "pth", "legacy"])
def test_damaged_files_are_named(tmp_path, kind):
    """A changed byte or two anywhere: the file is read, or refused by its name."""
    path = written(tmp_path, kind)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 3)):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            read_weights(path)
        except (ValueError, FileNotFoundError) as error:
            refused += str(tmp_path) in str(error) or "holds none" in str(error)
            assert str(tmp_path) in str(error) or str(error).startswith("Weights are"), error
    assert refused > 20, refused


@pytest.mark.parametrize("write", [torchless.write_zip, torchless.write_legacy, None])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.99])
def test_truncated_files_are_named(tmp_path, write, part):
    path = tmp_path / "cut.bin"
    write_safetensors(STATE, path) if write is None else write(path, tensors())
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(ValueError, match=r"cut\.bin"):
        read_weights(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer"),
        (b"\x89HDF\r\n\x1a\n" + bytes(64), "an HDF5 file"),
        (b"nonsense that goes on", "of no known format"),
        (b'{"a": 1}', "no index of sharded weights"),
        (b'{"weight_map": {"a": 3}}', "no index of sharded weights"),
        (b'{"weight_map": {"a": "weights.pth"}}', "of no known format"),
        (b'{"weight_map": {"a": "b', "damaged or truncated JSON"),
    ],
)
def test_foreign_files_are_named(tmp_path, content, said):
    (tmp_path / "weights.pth").write_bytes(content)
    with pytest.raises(ValueError, match=rf"weights\.pth .*{said}"):
        read_weights(tmp_path / "weights.pth")


def test_a_missing_or_short_storage(tmp_path):
    torchless.write_zip(tmp_path / "a.pth", tensors())
    for name, content in (("archive/data/0", None), ("archive/data/0", b"1234")):
        with zipfile.ZipFile(tmp_path / "a.pth") as whole, zipfile.ZipFile(tmp_path / "b.pth", "w") as part:
            for member in whole.namelist():
                data = whole.read(member) if member != name else content
                if data is not None:
                    part.writestr(member, data)
        with pytest.raises(ValueError, match=r"b\.pth"):
            read_weights(tmp_path / "b.pth")


def test_big_endian_files_are_refused(tmp_path):
    torchless.write_zip(tmp_path / "a.pth", tensors(), byteorder=b"big")
    with pytest.raises(ValueError, match="big-endian"):
        read_weights(tmp_path / "a.pth")


def test_what_is_no_array(tmp_path):
    with pytest.raises(ValueError, match="holds none"):
        read_weights({"epoch": 3})
    with pytest.raises(ValueError, match="a is a object"):
        read_weights({"a": object()})
    with pytest.raises(ValueError, match=r"arrays of numbers: a is a ndarray of <U3"):
        read_weights({"a": np.array(["abc"])})
    with pytest.raises(FileNotFoundError):
        read_weights(tmp_path / "nothing.pth")


class TestTorch:
    """torch's own files, where it is installed."""

    @pytest.fixture(autouse=True)
    def real(self, monkeypatch):
        monkeypatch.undo()
        self.torch = pytest.importorskip("torch")

    @pytest.mark.parametrize("zipped", [True, False])
    def test_files_of_torch_save(self, tmp_path, zipped):
        torch = self.torch
        module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 2))
        state = module.state_dict() | {"half": torch.ones(3).half(), "b": torch.arange(4).bfloat16()}
        state["view"] = torch.arange(6.0).reshape(2, 3).t()
        torch.save({"epoch": 1, "state_dict": state}, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
        found = read_weights(tmp_path / "a.pth")
        assert found.keys() == state.keys()
        for name, value in state.items():
            np.testing.assert_array_equal(found[name].astype(np.float64), value.double().numpy(), err_msg=name)
        assert found["b"].dtype == ml_dtypes.bfloat16 and found["half"].dtype == np.float16

    def test_tensors_in_memory(self):
        torch = self.torch
        linear = torch.nn.Linear(3, 2)
        equal(read_weights(dict(linear.named_parameters())), {k: v.numpy() for k, v in linear.state_dict().items()})
        half = read_weights(linear.bfloat16().state_dict())
        assert half["weight"].dtype == ml_dtypes.bfloat16
        np.testing.assert_array_equal(half["weight"].astype(np.float32), linear.weight.detach().float().numpy())

    def test_what_training_scripts_keep_beside_the_tensors(self, tmp_path):
        torch = self.torch
        linear = torch.nn.Linear(3, 2)
        schedule = torch.optim.lr_scheduler.MultiStepLR(torch.optim.SGD(linear.parameters(), 1.0), [1, 2])
        average = torch.optim.swa_utils.AveragedModel(linear)
        linear.weight.marked = True
        rest = {"lr_scheduler": schedule.state_dict(), "dtype": torch.float32, "seen": {1, 2}}
        torch.save({"model": dict(linear.named_parameters()), **rest}, tmp_path / "a.pth")
        torch.save({"model_ema": average.state_dict(), **rest}, tmp_path / "b.pth")
        torch.save({"model": {**linear.state_dict(), "b": torch.nn.Buffer(torch.ones(2))}}, tmp_path / "c.pth")
        expected = {name: value.detach().numpy() for name, value in linear.named_parameters()}
        for name in "ab":
            equal(read_weights(tmp_path / f"{name}.pth"), expected)
        equal(read_weights(tmp_path / "c.pth"), {**expected, "b": np.ones(2, np.float32)})

    def test_a_sign_that_is_only_noted(self, tmp_path):
        torch = self.torch
        torch.save({"a": torch._neg_view(torch.arange(3.0))}, tmp_path / "a.pth")
        equal(read_weights(tmp_path / "a.pth"), {"a": -np.arange(3, dtype=np.float32)})

    def test_8_bit_floats_are_refused(self, tmp_path):
        torch = self.torch
        from safetensors.torch import save_file

        save_file({"a": torch.ones(3).to(torch.float8_e4m3fn)}, tmp_path / "a.safetensors")
        with pytest.raises(ValueError, match=r"a\.safetensors holds numbers of a type that is not read"):
            read_weights(tmp_path / "a.safetensors")

    def test_a_whole_module_is_refused(self, tmp_path):
        self.torch.save(self.torch.nn.Linear(2, 2), tmp_path / "a.pth")
        with pytest.raises(ValueError, match=r"torch\.nn\.modules\.linear\.Linear, which is no part of a tensor"):
            read_weights(tmp_path / "a.pth")
