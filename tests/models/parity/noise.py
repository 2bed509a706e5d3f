"""How far rounding of the weights alone moves a network's answers: all in float64, so that nothing else is rounded.

JAX_ENABLE_X64=1 JAXCONV_PARITY=FOLDER python -m models.parity.noise [timm/efficientnetv2_rw_m ...]

Every weight is multiplied by 1 + 6e-8 N(0, 1), as storing it in float32 does. A line a network and recorded size: the
relative changes (2-norm) of the logits in three draws. Without names it goes through `unstable.txt`. Needs no torch.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from models.parity import proof, synth
from models.parity.record import Record, distance

ROUNDING = 6e-8
DRAWS = 3


def moved(weights, seed: int):
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda w: w * (1 + ROUNDING * rng.standard_normal(w.shape)), weights)


def changes(case: str) -> dict[tuple[int, int], list[float]]:
    """By recorded size."""
    record = Record(proof.recorded()[case])
    apply, *loaded = proof.loaded(case, record)
    weights = jax.tree.map(lambda w: np.asarray(w, np.float64), loaded)
    forward = jax.jit(lambda weights, x: apply(*weights, x, train=False)[0])
    found = {}
    for size in map(tuple, record.meta["sizes"]):
        x = jnp.asarray(synth.images(2, *size), jnp.float64)
        answer = np.asarray(forward(weights, x))
        found[size] = [distance(np.asarray(forward(moved(weights, seed), x)), answer) for seed in range(DRAWS)]
    return found


if __name__ == "__main__":
    if not jax.config.jax_enable_x64:
        raise SystemExit("Set JAX_ENABLE_X64=1: this computes in float64.")
    for case in sys.argv[1:] or sorted(proof.UNSTABLE):
        for (height, width), found in changes(case).items():
            print(case, f"{height}x{width}", *(f"{d:.1e}" for d in found), flush=True)
