"""`jaxconv convert`: the same tensors, and nothing overwritten."""

import ml_dtypes
import numpy as np

from jaxconv.cli import main
from jaxconv.weights import read_weights, write_safetensors

STATE = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(3, np.int64)}


def test_same_tensors(tmp_path, capsys):
    np.savez(tmp_path / "in.npz", **STATE)
    assert main(["convert", str(tmp_path / "in.npz"), str(tmp_path / "out.safetensors")]) == 0
    found = read_weights(tmp_path / "out.safetensors")
    for name, value in STATE.items():
        assert found[name].dtype == value.dtype
        np.testing.assert_array_equal(found[name], value)
    assert "2 (1 float32, 1 int64)" in capsys.readouterr().out


def test_bfloat16_stays(tmp_path):
    state = {"a": np.arange(4).astype(ml_dtypes.bfloat16)}
    write_safetensors(state, tmp_path / "in.safetensors")
    assert main(["convert", str(tmp_path / "in.safetensors"), str(tmp_path / "out.safetensors")]) == 0
    assert read_weights(tmp_path / "out.safetensors")["a"].tobytes() == state["a"].tobytes()


def test_nothing_is_overwritten(tmp_path, capsys):
    np.savez(tmp_path / "in.npz", **STATE)
    out = tmp_path / "out.safetensors"
    out.write_bytes(b"mine")
    assert main(["convert", str(tmp_path / "in.npz"), str(out)]) == 2
    assert "exists; --force replaces it" in capsys.readouterr().err and out.read_bytes() == b"mine"
    assert main(["convert", str(tmp_path / "in.npz"), str(out), "--force"]) == 0
    assert read_weights(out).keys() == STATE.keys()


def test_other_endings_and_damaged_files(tmp_path, capsys):
    (tmp_path / "in.pth").write_bytes(b"PK\x03\x04 cut")
    assert main(["convert", str(tmp_path / "in.pth"), str(tmp_path / "out.bin")]) == 2
    assert "must end in .safetensors" in capsys.readouterr().err
    assert main(["convert", str(tmp_path / "in.pth"), str(tmp_path / "out.safetensors")]) == 2
    assert "damaged or truncated" in capsys.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()
