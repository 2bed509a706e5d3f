"""The blocks of the later Inceptions as text: chains of convolutions side by side, joined along channels.

A chain is words: "64" is a 1x1 convolution to 64 channels, "96:3" a 3x3 one, "192:1x7" has one row and seven columns;
"s" after the window strides by two and "v" keeps stride one, both without padding (otherwise the size stays); "max"
is a 3x3 max pool of stride two, "avg" a 3x3 average of stride one. A last word "256:1x3|3x1" forks: both convolutions
read what the chain made, and both results are joined.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from jaxconv.nn import AvgPool, ConvNorm, MaxPool, Sequential, initializers

Unit = Callable[..., nnx.Module]
unit = partial(ConvNorm, epsilon=1e-3, kernel_init=initializers.trunc_normal(0.1))


class Chains(nnx.Module):
    """Chains of one input, joined: the words of each are modules of its own, as the reference names them.

    Args:
        in_channels: channels of the input.
        chains: name -> words. Where the words number one, the module has the chain's name.
        numbered: whether the modules of a longer chain are name_1, name_2 ...; otherwise they are 0, 1 ... under the
        name,
            and name_0, name_1a, name_1b where the chain forks.
        count_include_pad: whether averages count the zeros of the border.
        convolution: builds one convolution with what follows it.
    """

    def __init__(
        self,
        in_channels: int,
        chains: Mapping[str, str],
        *,
        numbered: bool = False,
        count_include_pad: bool = False,
        convolution: Unit = unit,
    ):
        paths, self.out_channels = [], 0
        for name, words in chains.items():
            before, modules = in_channels, []
            for word in words.split():
                after, made = _modules(word, before, count_include_pad, convolution)
                modules.append(made)
                before = after * len(made)
            paths.append(self._place(name, modules, numbered))
            self.out_channels += before
        self.paths = tuple(paths)

    def _place(self, name: str, steps: list, numbered: bool) -> tuple[tuple[str, ...], ...]:
        """Gives the modules of a chain their names; returns the names step by step."""
        weighted = sum(not isinstance(step[0], AvgPool | MaxPool) for step in steps)
        forks = any(len(step) > 1 for step in steps)
        if not numbered and not forks:
            flat = [step[0] for step in steps]
            setattr(self, name, flat[0] if len(flat) == 1 else Sequential(*flat))
            return ((name,),)
        path, number = [], 1 if numbered else 0
        for step in steps:
            if isinstance(step[0], AvgPool | MaxPool):
                names = (f"{name}_before",)
            elif weighted == 1:
                names = (name,)
            else:
                names = tuple(f"{name}_{number}{letter}" for letter in ("ab" if len(step) > 1 else ("",)))
                number += 1
            for own, module in zip(names, step):
                setattr(self, own, module)
            path.append(names)
        return tuple(path)

    def __call__(
        self, x: Float[Array, "n h w c"], train: bool = False, key: PRNGKeyArray | None = None
    ) -> Float[Array, "n _h _w k"]:
        """Maps x (n, h, w, in_channels) to (n, out, out, out_channels)."""
        results = []
        for path in self.paths:
            y = x
            for names in path:
                parts = [getattr(self, name)(y, train) for name in names]
                y = parts[0] if len(parts) == 1 else jnp.concatenate(parts, -1)
            results.append(y)
        return results[0] if len(results) == 1 else jnp.concatenate(results, -1)


def _modules(word: str, before: int, count_include_pad: bool, convolution: Unit) -> tuple[int, list[nnx.Module]]:
    """The channels after a word, and its modules: one, or two where it forks."""
    if word == "max":
        return before, [MaxPool(3, strides=2, padding="VALID")]
    if word == "avg":
        return before, [AvgPool(3, strides=1, padding=1, count_include_pad=count_include_pad)]
    width, _, windows = word.partition(":")
    return int(width), [_convolution(before, int(width), text, convolution) for text in (windows or "1").split("|")]


def _convolution(before: int, width: int, text: str, convolution: Unit) -> nnx.Module:
    match = re.fullmatch(r"(\d)(?:x(\d))?([sv]?)", text)
    assert match, text
    window = (int(match[1]), int(match[2] or match[1]))
    same = tuple((side // 2, side // 2) for side in window)
    settings = {"s": {"strides": 2, "padding": "VALID"}, "v": {"padding": "VALID"}, "": {"padding": same}}
    return convolution(before, width, window, **settings[match[3]])
