"""Reading a checkpoint of any format that is published, told apart by what is in the file and not by its name."""

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.lib.npyio import NpzFile

from jaxconv.weights.pytorch import read_legacy, read_zip
from jaxconv.weights.safetensors import read_safetensors

State = dict[str, np.ndarray]

NESTED = ("state_dict_ema", "model_ema", "state_dict", "model", "params_ema", "ema")
"""Keys under which training scripts keep the state dict among other things, the one to prefer first."""
PREFIXES = ("module.", "_orig_mod.", "model.")
"""What wrappers put before every name."""
COUNTERS = ("n_averaged",)
"""What wrappers keep of their own beside the names that they put a prefix before."""


def read_weights(weights: str | Path | Mapping[str, Any]) -> State:
    """The tensors of a checkpoint by name, in its own dtypes and layout.

    Args:
        weights: a file: safetensors, PyTorch (`torch.save`, the zip format and the one before it), npz, or the index of
            a checkpoint in several files; or a mapping of torch's tensors or anything that NumPy takes for an array.

    Returns:
        name -> array. A checkpoint that holds a state dict among other things gives that; prefixes and counters of
        wrappers are gone. Numbers are in the machine's byte order.

    Raises:
        ValueError: if the file is empty, cut off, of no such format, or holds objects that are no tensors.
        FileNotFoundError: if there is no such file.
    """
    found = dict(weights) if isinstance(weights, Mapping) else _read_file(Path(weights))
    state = {str(name): _array(name, value) for name, value in _state_dict(found).items() if not _is_scalar(value)}
    if not state:
        raise ValueError(f"Weights are named arrays: {_said(weights)} holds none.")
    return _without_prefix(state)


def _said(weights: str | Path | Mapping[str, Any]) -> str:
    return "the mapping" if isinstance(weights, Mapping) else str(weights)


def _read_file(path: Path, *, shard: bool = False) -> Mapping[str, Any]:
    with path.open("rb") as file:
        start = file.read(512)
    read = next((read for applies, read in READERS if applies(start)), None)
    if read is None and _is_index(start) and not shard:
        return _read_index(path)
    if read is None:
        raise ValueError(f"{path} is {_what(start)}: weights are safetensors, PyTorch files (.pth, .pt, .bin) or npz.")
    try:
        return read(path)
    except Exception as error:  # parsers meet damage in many ways: zlib.error, TokenError, MemoryError, KeyError ...
        if isinstance(error, ValueError) and str(error).startswith(str(path)):
            raise
        raise ValueError(f"{path} is damaged or truncated: {error!r}.") from error


def _what(start: bytes) -> str:
    if not start:
        return "empty"
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the file it points to"
    if start.lstrip()[:1] == b"<":
        return "a web page"
    if start.startswith(b"\x89HDF"):
        return "an HDF5 file, which is not read"
    return f"of no known format (it begins with {start[:8]!r})"


def _is_zip(start: bytes) -> bool:
    return start.startswith(b"PK\x03\x04")


def _is_pickle(start: bytes) -> bool:
    return len(start) > 1 and start[0] == 0x80 and start[1] in range(1, 6)


def _is_safetensors(start: bytes) -> bool:
    return len(start) > 8 and start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 1 << 32


def _is_index(start: bytes) -> bool:
    return start.lstrip()[:1] == b"{"


def _read_index(path: Path) -> State:
    """A checkpoint in several files: a JSON file that says which of those beside it holds which tensor."""
    try:
        shards = json.loads(path.read_text()).get("weight_map")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged or truncated JSON: {error}.") from error
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        raise ValueError(f"{path} is JSON without a weight_map of names: no index of sharded weights.")
    files = {name: _read_file(path.with_name(name), shard=True) for name in sorted(set(shards.values()))}
    missing = sorted(name for name, file in shards.items() if name not in files[file])
    if missing:
        raise ValueError(f"{path} names tensors that its files lack: {', '.join(missing[:5])}.")
    return {name: files[file][name] for name, file in shards.items()}


def _read_zip(path: Path) -> Mapping[str, Any]:
    """A zip file is NumPy's where every member is an array, else PyTorch's."""
    with zipfile.ZipFile(path) as archive:
        members = archive.namelist()
    if not all(name.endswith(".npy") for name in members):
        return read_zip(path)
    with np.load(path, allow_pickle=False) as arrays:
        return dict(_members(path, arrays))


def _members(path: Path, arrays: NpzFile) -> Iterator[tuple[str, np.ndarray]]:
    for name in arrays:
        try:
            yield name, arrays[name]
        except ValueError as error:
            raise ValueError(f"{path}: weights are arrays of numbers; {name} cannot be read so ({error}).") from error


READERS: tuple[tuple[Callable[[bytes], bool], Callable[[Path], Mapping[str, Any]]], ...] = (
    (_is_zip, _read_zip),
    (_is_pickle, read_legacy),
    (_is_safetensors, read_safetensors),
)
"""What a file of one format begins with -> what reads it."""


def _state_dict(found: Any) -> Mapping[str, Any]:
    """The state dict inside what a training script saved."""
    if not isinstance(found, Mapping):
        raise ValueError(f"Weights are a mapping of names to tensors: the file holds a {type(found).__name__}.")
    outer = []
    while (inner := _nested(found)) is not None:
        if any(inner is mapping for mapping in outer):
            raise ValueError("Weights are a mapping of names to tensors: this one holds itself.")
        outer.append(inner)
        found = inner
    return found


def _nested(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return next((found[key] for key in NESTED if isinstance(found.get(key), Mapping) and found[key]), None)


def _is_scalar(value: Any) -> bool:
    """Whether an entry is what training scripts keep beside tensors: a step count, a name, settings."""
    return value is None or isinstance(value, bool | int | float | str | bytes | Mapping | list | tuple | set)


def _array(name: Any, value: Any) -> np.ndarray:
    try:
        array = np.asarray(_on_host(value))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"Weights are arrays: {name} is a {type(value).__name__} ({error}).") from error
    if array.dtype == np.dtype("V2"):  # NumPy's own files know bfloat16 by its size alone
        array = array.view(ml_dtypes.bfloat16)
    if array.dtype.type is np.void or array.dtype.kind in "OSUMm":
        raise ValueError(f"Weights are arrays of numbers: {name} is a {type(value).__name__} of {array.dtype}.")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _on_host(value: Any) -> Any:
    """`value`, or the numbers of one of torch's tensors, which may be a parameter, on an accelerator, or bfloat16."""
    if not hasattr(value, "detach"):
        return value
    value = value.detach().cpu()
    if str(value.dtype) == "torch.bfloat16":
        return value.float().numpy().astype(ml_dtypes.bfloat16)
    return value.numpy()


def _without_prefix(state: State) -> State:
    named = {name: value for name, value in state.items() if name not in COUNTERS}
    for prefix in PREFIXES:
        if named and all(name.startswith(prefix) for name in named):
            return _without_prefix({name.removeprefix(prefix): value for name, value in named.items()})
    return state
