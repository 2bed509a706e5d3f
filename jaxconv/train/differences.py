"""What a run directory says of its run, and what a call says now: where the two differ, in words."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

ABSENT = "(not set)"

MEASURED = ("preprocess.mean", "preprocess.std")
NEAR = 0.01
"""Those two may be measured on the images, and may move by so little, relatively: one image in a hundred that was
damaged or mended since, or another version of a decoder, is no reason to give up a run of days."""

NAMED = 5
"""So many entries of a long list that differ are named."""


def differences(there: Mapping[str, Any], now: Mapping[str, Any], *, lenient: bool = False) -> list[str]:
    """Each JSON value that differs, as in `epochs: 3 there, 4 now` and `data.classes: only there 'a'; only now 'z'`.

    Args:
        there: what the run directory says; objects may be nested.
        now: what the call says.
        lenient: what `there` lacks is no difference: an earlier version did not write it.
    """
    there, now = dict(_flat(there)), dict(_flat(now))
    names = [name for name in {**there, **now} if name in there or not lenient]
    pairs = [(name, there.get(name, ABSENT), now.get(name, ABSENT)) for name in names]
    return [f"{name}: {_words(old, new)}" for name, old, new in pairs if not _same(name, old, new)]


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield above + name, value


def _same(name: str, old: Any, new: Any) -> bool:
    if name in MEASURED and isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        return all(math.isclose(a, b, rel_tol=NEAR) for a, b in zip(old, new))
    return old == new


def _words(old: Any, new: Any) -> str:
    if not (_are_names(old) and _are_names(new)):
        return f"{old} there, {new} now"
    olds, news = set(old), set(new)
    sides = {"there": [n for n in old if n not in news], "now": [n for n in new if n not in olds]}
    return "; ".join(f"only {side} {_listed(names)}" for side, names in sides.items() if names) or "in another order"


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(name, str) for name in value)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(map(repr, names[:NAMED])) + more
