"""The proof of one network: its names, its answers and its gradients beside those that a reference implementation gave.

python -m models.parity.proof resnet50 [torchvision/resnet50 ...]   # from tests/, prints every distance
"""

import os
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from models.parity import synth
from models.parity.record import Record, distance, norms, shapes_as_reference

import jaxconv.functional as F
from jaxconv import nn
from jaxconv.models import create_model, feature_info
from jaxconv.models.load import load_weights
from jaxconv.weights.torchvision import timm_names

HERE = Path(__file__).parent
WITH_AUXILIARY = ("googlenet", "inception_v3")
"""The networks that torchvision's records were made of with auxiliary heads."""


UNSTABLE = {
    line.split()[0]: line.split()[1:]
    for line in (HERE / "unstable.txt").read_text().splitlines()
    if line and not line.startswith("#")
}
"""Records whose evaluation logits say nothing: rounding decides. In float64 ours is the reference (`live.py`)."""


def recorded() -> dict[str, Path]:
    """ "library/name" -> file, of the records beside this file and of those in the folder that JAXCONV_PARITY names."""
    folders = [Path(os.environ["JAXCONV_PARITY"])] if "JAXCONV_PARITY" in os.environ else []
    found = [path for folder in [*folders, HERE] for path in sorted(folder.glob("*/*.npz"))]
    return {f"{path.parent.name}/{path.stem}": path for path in found}


def model_of(case: str, **settings):
    """The network of a record, undrawn, as the record was made."""
    library, name = case.split("/")
    auxiliary = {"aux_logits": True} if library == "torchvision" and name in WITH_AUXILIARY else {}
    return create_model(name, key=None, **auxiliary, **settings)


def check_state(case: str, record: Record) -> None:
    _, params, batch_stats = nn.functionalize(model_of(case), key=None)
    ours = shapes_as_reference(params) | shapes_as_reference(batch_stats)
    theirs = _in_our_names(case, record.meta["state"])
    if case.startswith("torchvision/"):  # its dense layers after a flattened map are our convolutions over the map
        alike = {name for name in ours.keys() & theirs.keys() if np.prod(ours[name]) == np.prod(theirs[name])}
        theirs = {name: ours[name] if name in alike else shape for name, shape in theirs.items()}
    wrong = {name: (ours.get(name), theirs.get(name)) for name in ours | theirs if ours.get(name) != theirs.get(name)}
    assert not wrong, f"(ours, theirs) differ in {len(wrong)} of {len(theirs)}: {dict(list(wrong.items())[:12])}"
    assert sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params)) == record.meta["params"]


def _in_our_names(case: str, state: dict) -> dict:
    library, name = case.split("/")
    renamed = timm_names(name, list(state)) if library == "torchvision" else {entry: entry for entry in state}
    return {renamed[entry]: shape for entry, shape in state.items()}


def check_features(case: str, record: Record) -> None:
    if record.meta.get("features") is None:
        return
    levels = feature_info(model_of(case))
    assert [level.channels for level in levels] == record.meta["features"]["channels"]
    assert [level.stride for level in levels] == record.meta["features"]["reduction"]


def loaded(case: str, record: Record):
    """`apply`, parameters and statistics with the reference's numbers, through the real `load_weights`."""
    model = model_of(case, drop_rate=0.0)
    load_weights(model, record.state, source=case.split("/")[0])
    return nn.functionalize(model, key=None)


def images(n: int, height: int, width: int) -> jax.Array:
    """The stand-in images in JAX's widest type, which is the one that networks then compute in."""
    return jnp.asarray(synth.images(n, height, width), jnp.zeros(()).dtype)


def evaluation_distances(network, record: Record, jit=jax.jit) -> dict[str, float]:
    apply, params, batch_stats = network
    run = jit(lambda params, batch_stats, x: apply(params, batch_stats, x, train=False)[0])
    sizes = record.meta["sizes"]
    answers = {size: run(params, batch_stats, images(2, *size)) for size in map(tuple, sizes)}
    return {f"{h}x{w}": distance(y, record.arrays[f"logits_{h}x{w}"]) for (h, w), y in answers.items()}


def check_evaluation(case: str, network, record: Record, jit=jax.jit) -> dict[str, float]:
    """Logits in evaluation mode, of a record that is not in `UNSTABLE`."""
    distances = evaluation_distances(network, record, jit)
    assert distances and max(distances.values()) < 1e-4, distances
    return distances


def check_training(case: str, network, record: Record, jit=jax.jit) -> dict[str, float]:
    """One step in training mode; returns the distances of logits, gradients (median) and statistics (worst)."""
    if "train_logits" not in record.arrays:
        assert record.meta["train_error"]
        return {}
    apply, params, batch_stats = network
    n, *size = record.meta["train_size"]
    x = images(n, *size)
    labels = jnp.asarray(synth.labels(n, record.arrays["train_logits"].shape[-1]))  # without a classifier too

    def loss(params):
        output, after = apply(params, batch_stats, x, train=True, key=jax.random.key(0))
        logits = output[0] if isinstance(output, tuple) else output
        return F.cross_entropy(logits, labels), (logits, after)

    (value, (logits, after)), gradients = jit(jax.value_and_grad(loss, has_aux=True))(params)
    ours, theirs = norms(gradients), _in_our_names(case, record.meta["grad_norm"])
    heard = [name for name, norm in theirs.items() if norm]
    running, statistics = norms(after), _in_our_names(case, record.meta["running_norm"])
    found = {
        "train_logits": distance(logits, record.arrays["train_logits"]),
        "loss": abs(float(value) / record.meta["train_loss"] - 1),
        "gradients": float(np.median([abs(ours[name] / theirs[name] - 1) for name in heard])),
        "statistics": max((abs(running[k] / v - 1) for k, v in statistics.items()), default=0.0),
    }
    limits = {"train_logits": 5e-3, "loss": 5e-3, "gradients": 1e-2, "statistics": 1e-3}
    assert running.keys() == statistics.keys()
    assert all(found[what] < limit for what, limit in limits.items()), found
    return found


def main(cases: list[str]) -> int:
    named = [case if "/" in case else f"timm/{case}" for case in cases]
    return int(sum(proved(case, Record(recorded()[case])) for case in named) > 0)


def proved(case: str, record: Record, training: bool = True) -> int:
    """Prints what every check of one network finds; returns how many failed."""
    start = time.perf_counter()
    failed = _said(case, check_state, record) + _said(case, check_features, record)
    network = loaded(case, record)
    stable = case not in UNSTABLE or jax.config.jax_enable_x64
    failed += stable and _said(case, check_evaluation, network, record)
    failed += training and _said(case, check_training, network, record)
    print(f"{case}: {time.perf_counter() - start:.0f} s", flush=True)
    return failed


def _said(case: str, check, *given) -> int:
    try:
        print(f"{case} {check.__name__} ok {check(case, *given) or ''}", flush=True)
        return 0
    except Exception as error:
        print(f"{case} {check.__name__} FAILED {type(error).__name__}: {error}", flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
