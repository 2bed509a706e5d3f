"""A small network with batch norm, written without the model zoo: the trainer knows pytrees, not models."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

import jaxconv.functional as F
from jaxconv.data import Dataset
from jaxconv.train import Experiment, Preprocess


def tiny_params(classes: int = 3) -> dict:
    rng = np.random.default_rng(1)
    return {
        "conv": {"kernel": jnp.asarray(rng.normal(0, 0.3, (3, 3, 1, 4)), jnp.float32)},
        "norm": {"scale": jnp.ones(4), "bias": jnp.zeros(4)},
        "head": {"kernel": jnp.asarray(rng.normal(0, 0.3, (4, classes)), jnp.float32), "bias": jnp.zeros(classes)},
    }


def tiny_apply(params, batch_stats, x, *, train, key=None):
    """Convolution, batch norm, ReLU, global average, dense."""
    x = F.conv(jnp.asarray(x), jnp.asarray(params["conv"]["kernel"]), padding="SAME")
    mean, var = (x.mean((0, 1, 2)), x.var((0, 1, 2))) if train else (batch_stats["mean"], batch_stats["var"])
    if train:
        batch_stats = {"mean": 0.9 * batch_stats["mean"] + 0.1 * mean, "var": 0.9 * batch_stats["var"] + 0.1 * var}
    one = (1, 1, 1, -1)
    x = (x - mean.reshape(one)) * lax.rsqrt(var + 1e-5).reshape(one) * params["norm"]["scale"].reshape(one)
    x = jax.nn.relu(x + params["norm"]["bias"].reshape(one)).mean((1, 2))
    return x @ params["head"]["kernel"] + params["head"]["bias"][None], batch_stats


def tiny_stats() -> dict:
    return {"mean": jnp.zeros(4), "var": jnp.ones(4)}


def stripes(count: int, seed: int = 0) -> Dataset:
    """Three kinds of 6x6 images: horizontal stripes, vertical stripes, noise."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count).astype(np.int32)
    images = rng.integers(0, 60, (count, 6, 6, 1))
    images[labels == 0, ::2] += 180
    images[labels == 1, :, ::2] += 180
    return Dataset.from_arrays(images.astype(np.uint8), labels, classes=["rows", "columns", "noise"])


@pytest.fixture
def make_experiment():
    def make(**changes) -> Experiment:
        values = {
            "model": lambda: (tiny_apply, tiny_params(), tiny_stats()),
            "train_data": stripes(50),
            "eval_data": stripes(21, seed=1),
            "preprocess": Preprocess(mean=(0.3,), std=(0.3,)),
            "schedule": lambda total: optax.linear_schedule(0.05, 0.0, total),
            "optimizer": lambda rate: optax.sgd(rate, momentum=0.9),
            "epochs": 3,
            "batch_size": 16,
            "devices": 1,
            "settings": {"epochs": 3, "batch_size": 16},
        }
        return Experiment(**{**values, **changes})

    return make
