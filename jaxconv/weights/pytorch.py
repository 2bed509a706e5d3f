"""Files of `torch.save`, without torch and without running anything.

Such a file is a pickle whose tensors are views of storages kept beside it. The unpickler here knows the handful of
names that tensors and containers need, and refuses every other: nothing that a file names is ever imported or called.
"""

import io
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import ml_dtypes
import numpy as np

STORAGES = MappingProxyType(
    {
        "DoubleStorage": np.float64,
        "FloatStorage": np.float32,
        "HalfStorage": np.float16,
        "BFloat16Storage": ml_dtypes.bfloat16,
        "LongStorage": np.int64,
        "IntStorage": np.int32,
        "ShortStorage": np.int16,
        "CharStorage": np.int8,
        "ByteStorage": np.uint8,
        "BoolStorage": np.bool_,
    }
)
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


@dataclass(frozen=True)
class _Storage:
    """A storage class by name, which a pickle refers to."""

    dtype: Any


def _tensor(storage, offset, size, stride, *_):
    """A view of a storage (a NumPy array in one dimension), copied."""
    item = storage.dtype.itemsize
    reach = offset + sum((length - 1) * step for length, step in zip(size, stride)) + 1 if 0 not in size else 0
    if offset < 0 or min([0, *stride]) < 0 or reach > storage.size:
        raise ValueError(f"a tensor of shape {tuple(size)} reaches beyond its storage of {storage.size} numbers")
    strides = [step * item for step in stride]
    return np.lib.stride_tricks.as_strided(storage[offset:], tuple(size), strides).copy()


def _parameter(data, *_):
    return data


class _Ignored(dict):
    """Stands for the objects that carry nothing: hooks, and attributes of the containers."""

    def __init__(self, *_):
        super().__init__()

    def __setstate__(self, state):
        pass


KNOWN = MappingProxyType(
    {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor"): _tensor,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch._utils", "_rebuild_parameter"): _parameter,
        ("torch", "Size"): tuple,
        ("torch", "device"): _Ignored,
        ("argparse", "Namespace"): _Ignored,
        **{("torch", name): _Storage(np.dtype(dtype)) for name, dtype in STORAGES.items()},
    }
)
"""Every name that a file may use."""


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, storage_of):
        super().__init__(file, encoding="utf-8")
        self.storage_of = storage_of

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in KNOWN:
            raise ValueError(f"it names {module}.{name}, which is no part of a tensor and is not run")
        return KNOWN[module, name]

    def persistent_load(self, pid: Any) -> np.ndarray:
        return self.storage_of(pid)


def read_zip(path: Path) -> Any:
    """What a file of `torch.save` since 1.6 holds: a zip archive with a pickle and one member a storage.

    Raises:
        ValueError: if it is damaged, or names anything but tensors and containers.
    """
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl") or name == "data.pkl"]
        if len(pickles) != 1:
            raise ValueError(f"{path} is a zip file with {len(pickles)} data.pkl: PyTorch's have one.")
        root = pickles[0].removesuffix("data.pkl")
        order = root + "byteorder"
        if order in archive.namelist() and archive.read(order) != b"little":
            raise ValueError(f"{path} was written on a big-endian machine: only little-endian files are read.")
        storages: dict[str, np.ndarray] = {}

        def storage_of(pid):
            _, kind, key, _, count = pid
            if key not in storages:
                data = archive.read(f"{root}data/{key}")
                if len(data) != count * kind.dtype.itemsize:
                    raise ValueError(f"storage {key} has {len(data)} bytes for {count} numbers of {kind.dtype}")
                storages[key] = np.frombuffer(data, kind.dtype)
            return storages[key]

        return _unpickled(path, io.BytesIO(archive.read(pickles[0])), storage_of)


def read_legacy(path: Path) -> Any:
    """What a file of `torch.save` before 1.6 holds: pickles one after another, then the storages.

    Raises:
        ValueError: if it is damaged, or names anything but tensors and containers.
    """
    with path.open("rb") as file:
        if _unpickled(path, file, None) != LEGACY_MAGIC:
            raise ValueError(f"{path} is a pickle, but none of torch.save.")
        _unpickled(path, file, None)  # the version of the protocol
        if not _unpickled(path, file, None).get("little_endian", True) or sys.byteorder != "little":
            raise ValueError(f"{path} was written on a big-endian machine: only little-endian files are read.")
        return _with_storages(path, file)


def _with_storages(path: Path, file: Any) -> Any:
    """The pickle at hand, read twice: once for which storages there are, and again when they have been read."""
    start, kinds = file.tell(), {}

    def note(pid):
        _, kind, key, _, count, view = cast("tuple[Any, ...]", (*pid, None)[:6])
        if view is not None:
            raise ValueError("it has views of storages, which no torch since 0.4 writes")
        kinds[key] = (kind.dtype, count)
        return np.zeros(count, kind.dtype)

    _unpickled(path, file, note)
    keys = _unpickled(path, file, None)
    storages = {}
    for key in keys:
        dtype, count = kinds[key]
        (length,) = struct.unpack("<q", _exactly(path, file, 8))
        if length != count:
            raise ValueError(f"{path}: storage {key} has {length} numbers where {count} are named.")
        storages[key] = np.frombuffer(_exactly(path, file, count * dtype.itemsize), dtype)
    file.seek(start)
    return _unpickled(path, file, lambda pid: storages[pid[2]])


def _exactly(path: Path, file: Any, count: int) -> bytes:
    data = file.read(count)
    if len(data) != count:
        raise ValueError(f"{path} is truncated: {count} bytes of a storage should follow, {len(data)} do.")
    return data


def _unpickled(path: Path, file: Any, storage_of) -> Any:
    try:
        return _Unpickler(file, storage_of).load()
    except (pickle.UnpicklingError, EOFError, KeyError, IndexError, AttributeError, TypeError, UnicodeError) as error:
        raise ValueError(f"{path} is a damaged or truncated PyTorch file: {error!r}.") from error
    except ValueError as error:
        raise ValueError(f"{path} is no file of tensors: {error}.") from error
