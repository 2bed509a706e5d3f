"""`stored` is the identity under every transform, and a barrier in the program of the CPU alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxconv.functional.lowering.stored import stored


def kept(x):
    return (jnp.sin(stored(jnp.concatenate([x, 2 * x]))) ** 2).sum()


def free(x):
    return (jnp.sin(jnp.concatenate([x, 2 * x])) ** 2).sum()


@pytest.mark.parametrize(
    "transform",
    [
        jax.jit,
        jax.grad,
        jax.hessian,
        jax.vmap,
        jax.jacfwd,
        lambda f: jax.grad(jax.checkpoint(f)),
    ],
    ids=["jit", "grad", "hessian", "vmap", "jacfwd", "checkpoint"],
)
def test_it_is_the_identity(transform, rng):
    x = jnp.asarray(rng.standard_normal((3, 3)), jnp.float32)
    np.testing.assert_allclose(transform(kept)(x), transform(free)(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("platform", "barriers"), [("cpu", 1), ("cuda", 0), ("tpu", 0)])
def test_only_the_cpu_has_a_barrier(platform, barriers):
    exported = jax.export.export(jax.jit(kept), platforms=[platform])(jax.ShapeDtypeStruct((3,), jnp.float32))
    assert exported.mlir_module().count("stablehlo.optimization_barrier") == barriers
