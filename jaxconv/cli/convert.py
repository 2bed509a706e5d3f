"""`jaxconv convert`."""

from collections import Counter
from pathlib import Path

import numpy as np
import tyro
from rich.table import Table

from jaxconv.cli.show import show
from jaxconv.weights import read_weights, write_safetensors


def convert(weights: tyro.conf.Positional[Path], out: tyro.conf.Positional[Path], *, force: bool = False) -> int:
    """Write a checkpoint as safetensors: the same tensors, bit for bit, under the same names.

    Args:
        weights: safetensors, PyTorch (.pth, .pt, .bin; nothing in it is run) or npz.
        out: file to write, ending in .safetensors.
        force: replace the file if it exists.
    """
    if not weights.is_file():
        raise ValueError(f"what is converted is a file of weights; there is no file {weights}.")
    if out.suffix != ".safetensors":
        raise ValueError(f"the file to write must end in .safetensors; got {out}.")
    if not out.absolute().parent.is_dir():
        raise ValueError(f"the folder of the file to write must exist; there is no folder {out.parent}.")
    if out.exists() and not force:
        raise ValueError(f"{out} exists; --force replaces it.")
    state = read_weights(weights)
    write_safetensors(state, out)
    written = read_weights(out)
    changed = [name for name, value in state.items() if not _same(value, written.get(name))]
    if changed:
        out.unlink()
        raise ValueError(f"{out} does not hold what {weights} does: {', '.join(changed[:5])}.")
    table = Table(show_header=False)
    kinds = Counter(str(value.dtype) for value in state.values())
    table.add_row("tensors", f"{len(state):,} ({', '.join(f'{count} {kind}' for kind, count in kinds.items())})")
    table.add_row("numbers", f"{sum(value.size for value in state.values()):,}")
    table.add_row("file", f"{out} ({out.stat().st_size:,} bytes)")
    show(table)
    return 0


def _same(ours: np.ndarray, theirs: np.ndarray | None) -> bool:
    if theirs is None or (ours.dtype, ours.shape) != (theirs.dtype, theirs.shape):
        return False
    return np.ascontiguousarray(ours).tobytes() == np.ascontiguousarray(theirs).tobytes()
