"""`jaxconv list`."""

import difflib

import tyro
from rich.table import Column, Table

from jaxconv.cli.show import show
from jaxconv.models import list_models, model_info


def list_(pattern: tyro.conf.Positional[str] = "*") -> int:
    """List the networks whose names match a pattern.

    Args:
        pattern: with * and ?, as in a shell (quote it).
    """
    names = list_models(pattern)
    if not names:
        known = list_models()
        close = difflib.get_close_matches(pattern.strip("*").lower(), known, cutoff=0.4)
        near = f"close names are {', '.join(close)}" if close else f"`jaxconv list` shows all {len(known)}"
        raise ValueError(f"no network matches {pattern!r}; {near}.")
    table = Table("name", Column("parameters", justify="right"), "input", "classes", "source")
    for name in names:
        info = model_info(name)
        (height, width), fixed = info.input_size, "" if info.fixed_input_size else " or other"
        table.add_row(
            name, f"{info.parameters:,}", f"{height}x{width}x{info.in_chans}{fixed}", str(info.num_classes), info.source
        )
    show(table)
    return 0
