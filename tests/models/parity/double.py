"""Ours and the reference, both in float64, on the weights and images of records that rounding decides.

JAX_ENABLE_X64=1 JAXCONV_PARITY=FOLDER python -m models.parity.double [timm/seresnet152 ...]

Needs torch, timm and torchvision. Without names it goes through `unstable.txt`. A line a network: its name, and the
relative distance (2-norm) between the two answers at each recorded size.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from models.parity import proof, synth
from models.parity.record import Record, distance


def reference(case: str, record: Record):
    """The network of timm or torchvision, with the record's weights, in float64."""
    import timm
    import torch
    import torchvision

    library, name = case.split("/")
    if library == "timm":
        net = timm.create_model(name)
    else:
        net = torchvision.models.get_model(name, weights=None)
    weights = {key: torch.tensor(value) for key, value in record.state.items()}
    net.load_state_dict({**net.state_dict(), **weights})
    return net.eval().double()


def distances(case: str) -> list[float]:
    """At each recorded size."""
    import torch

    record = Record(proof.recorded()[case])
    net = reference(case, record)
    apply, params, batch_stats = proof.loaded(case, record)
    forward = jax.jit(lambda x: apply(params, batch_stats, x, train=False)[0])
    found = []
    for height, width in record.meta["sizes"]:
        x = synth.images(2, height, width).astype(np.float64)
        with torch.no_grad():
            expected = net(torch.tensor(x.transpose(0, 3, 1, 2))).numpy()
        found.append(distance(np.asarray(forward(jnp.asarray(x))), expected))
    return found


if __name__ == "__main__":
    if not jax.config.jax_enable_x64:
        raise SystemExit("Set JAX_ENABLE_X64=1: this compares in float64.")
    for case in sys.argv[1:] or sorted(proof.UNSTABLE):
        print(case, *(f"{d:.1e}" for d in distances(case)), flush=True)
