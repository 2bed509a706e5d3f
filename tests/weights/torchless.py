"""What `torch.save` writes, written without torch: the pickles name its functions, the storages lie beside them."""

import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict

import numpy as np

KINDS = {"float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage", "bfloat16": "BFloat16Storage"}


def _rebuild_tensor_v2(*_):
    raise AssertionError("only named, never called")


class Tensor:
    """An array that pickles as torch's tensors do."""

    def __init__(self, array: np.ndarray, key: str, offset: int = 0, stride: tuple[int, ...] | None = None, base=None):
        self.array, self.key, self.offset, self.base = array, key, offset, array if base is None else base
        self.stride = stride or tuple(step // array.itemsize for step in array.strides)

    def __reduce__(self):
        settings = (self, self.offset, self.array.shape, self.stride, False, OrderedDict())
        return sys.modules["torch._utils"]._rebuild_tensor_v2, (Storage(self), *settings[1:])


class Storage:
    def __init__(self, tensor: Tensor):
        self.tensor = tensor


def install(monkeypatch) -> None:
    """Modules of torch's names, for the pickler to find."""
    torch, inner = types.ModuleType("torch"), types.ModuleType("torch._utils")
    _rebuild_tensor_v2.__module__ = "torch._utils"
    inner._rebuild_tensor_v2 = _rebuild_tensor_v2
    for name in KINDS.values():
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", inner)


def pickled(value, *, legacy: bool = False) -> tuple[bytes, dict[str, np.ndarray]]:
    """The pickle of a value with tensors, and the storages that it names."""
    buffer, storages = io.BytesIO(), {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj):
            if not isinstance(obj, Storage):
                return None
            tensor = obj.tensor
            storages[tensor.key] = np.ascontiguousarray(tensor.base).ravel()
            kind = getattr(sys.modules["torch"], KINDS[tensor.array.dtype.name])
            name = ("storage", kind, tensor.key, "cpu", storages[tensor.key].size)
            return (*name, None) if legacy else name

    Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue(), storages


def write_zip(path, value, *, byteorder: bytes = b"little") -> None:
    data, storages = pickled(value)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/byteorder", byteorder)
        for key, array in storages.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())


def write_legacy(path, value) -> None:
    data, storages = pickled(value, legacy=True)
    with open(path, "wb") as file:
        for head in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}):
            pickle.dump(head, file, protocol=2)
        file.write(data)
        pickle.dump(sorted(storages), file, protocol=2)
        for key in sorted(storages):
            file.write(struct.pack("<q", storages[key].size) + storages[key].tobytes())
