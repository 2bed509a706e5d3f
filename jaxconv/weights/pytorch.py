"""Files of `torch.save`, without torch and without running anything.

Such a file is a pickle whose tensors are views of storages kept beside it. The unpickler here knows the handful of
names that tensors and containers need, and refuses every other: nothing that a file names is ever imported or called.
What stands for those names cannot be changed: a pickle may set attributes of whatever it got hold of.
"""

import io
import pickle
import struct
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, cast

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
DTYPES = (
    "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 complex128 float8_e4m3fn float8_e5m2"
).split()
"""Dtypes by name, which training scripts keep among their settings; they stand for themselves."""
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


class _Storage(NamedTuple):
    """A storage class by name, which a pickle refers to."""

    dtype: Any


class _Function:
    """A function that a pickle may call."""

    __slots__ = ("_call",)

    def __init__(self, function: Callable):
        self._call = function

    def __call__(self, *arguments):
        return self._call(*arguments)

    def __setstate__(self, state):
        raise ValueError("it changes a function, which is no part of a tensor")


def _tensor(storage, offset, size, stride, requires_grad=False, hooks=None, metadata=None):
    """A view of a storage (a NumPy array in one dimension), copied; negated where torch has only noted the sign."""
    item = storage.dtype.itemsize
    reach = offset + sum((length - 1) * step for length, step in zip(size, stride)) + 1 if 0 not in size else 0
    if offset < 0 or min([0, *stride]) < 0 or reach > storage.size:
        raise ValueError(f"a tensor of shape {tuple(size)} reaches beyond its storage of {storage.size} numbers")
    strides = [step * item for step in stride]
    values = np.lib.stride_tricks.as_strided(storage[offset:], tuple(size), strides).copy()
    unknown = [name for name, true in (metadata or {}).items() if true and name != "neg"]
    if unknown:
        raise ValueError(f"a tensor is marked {', '.join(unknown)}, which is not known here")
    return -values if (metadata or {}).get("neg") else values


def _parameter(data, *_):
    return data


def _of_type(rebuild, kind, arguments, state):
    """A tensor of a subclass, such as a buffer or a parameter with attributes."""
    if not isinstance(rebuild, _Function):
        raise ValueError(f"it makes a tensor of {rebuild}")
    return rebuild(*arguments)


class _Ignored(dict):
    """Stands for the objects that carry nothing: hooks, and attributes of the containers."""

    def __init__(self, *_):
        super().__init__()

    def __setstate__(self, state):
        pass


KNOWN = MappingProxyType(
    {
        ("collections", "OrderedDict"): OrderedDict,
        ("collections", "Counter"): dict,
        ("__builtin__", "set"): set,
        ("builtins", "set"): set,
        ("torch._utils", "_rebuild_tensor"): _Function(_tensor),
        ("torch._utils", "_rebuild_tensor_v2"): _Function(_tensor),
        ("torch._utils", "_rebuild_parameter"): _Function(_parameter),
        ("torch._utils", "_rebuild_parameter_with_state"): _Function(_parameter),
        ("torch._tensor", "_rebuild_from_type_v2"): _Function(_of_type),
        **{("torch.nn.parameter", name): name for name in ("Buffer", "Parameter")},
        **{("torch", name): name for name in ("Tensor", *DTYPES)},
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
    start, size, kinds = file.tell(), path.stat().st_size, {}

    def note(pid):
        _, kind, key, _, count, view = cast("tuple[Any, ...]", (*pid, None)[:6])
        if view is not None:
            raise ValueError("it has views of storages, which no torch since 0.4 writes")
        if not 0 <= count * kind.dtype.itemsize <= size:
            raise ValueError(f"storage {key} of {count} numbers is larger than the file")
        kinds[key] = (kind.dtype, count)
        return np.zeros(count, kind.dtype)

    _unpickled(path, file, note)
    keys = _unpickled(path, file, None)
    storages = {}
    for key in keys:
        if key not in kinds:
            raise ValueError(f"{path} is a damaged PyTorch file: it has a storage {key!r} that no tensor names.")
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
    except Exception as error:  # damage shows itself in many ways: EOFError, KeyError, MemoryError, UnicodeError ...
        refused = isinstance(error, ValueError) and not isinstance(error, UnicodeError)
        what = f"no file of tensors: {error}" if refused else f"a damaged or truncated PyTorch file: {error!r}"
        raise ValueError(f"{path} is {what}.") from error
