"""What the primitives of this package share: definition, lowering per platform, and folding of batches."""

import functools

import jax
import jax.numpy as jnp
from jax import lax
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import batching, mlir


def define(name, shape, plain, cpu) -> Primitive:
    """A primitive with one result.

    Args:
        name: what a jaxpr calls it.
        shape: function of the shapes of the arguments and the settings, giving the shape of the result, whose dtype
            is that of the first argument.
        plain: the form of every platform but the CPU.
        cpu: the form of the CPU, which takes `sharded` too: 1 where XLA is to divide the program among devices, 2 where
            it may divide an array among some of them only. A form is a function of arrays and keyword settings, and
            need not be differentiable.
    """
    primitive = Primitive(name)

    def abstract(*avals, **settings):
        result = shape(*(a.shape for a in avals), **settings)
        return avals[0].update(shape=result, weak_type=False, sharding=_sharding(plain, avals, settings))

    primitive.def_abstract_eval(abstract)
    primitive.def_impl(functools.partial(_run, primitive))
    mlir.register_lowering(primitive, _rule(plain))
    mlir.register_lowering(primitive, _cpu_rule(cpu), platform="cpu")
    return primitive


def bind(primitive, *arrays, **settings):
    """Apply a primitive to arrays that may vary over different manual mesh axes (`jax.shard_map`)."""
    varying = [jax.typeof(a).manual_axis_type.varying for a in arrays]
    axes = frozenset().union(*varying)
    alike = [a if axes == v else lax.pcast(a, tuple(sorted(axes - v)), to="varying") for a, v in zip(arrays, varying)]
    return primitive.bind(*alike, **settings)


def map_over_batch(primitive, function, rule):
    """Make `rule` the batching rule of a primitive.

    Args:
        primitive: the primitive.
        function: what binds it.
        rule: a function of the arrays, their batch axes (None for an array that has none), the size of the batch, and
            the settings, giving the result with the batch as its first dimension.
    """

    def batched(arrays, batch_axes, **settings):
        size = next(a.shape[axis] for a, axis in zip(arrays, batch_axes) if axis is not None)
        if isinstance(size, int) and size == 0:
            one = function(*map(_one, arrays, batch_axes), **settings)
            return jnp.broadcast_to(one, (0, *one.shape)), 0
        return rule(arrays, batch_axes, size, **settings), 0

    batching.primitive_batchers[primitive] = batched


def merge(x, batch_axis, axis, groups=1):
    """Fold the batch dimension of `x` into another.

    `axis` is the dimension (of one example) that takes it; there, an index (group, rest) becomes (group, batch, rest).
    """
    x = jnp.moveaxis(x, batch_axis, 0)
    axis %= x.ndim - 1
    batch, *shape = x.shape
    split = x.reshape(batch, *shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])
    merged = jnp.moveaxis(split, 0, axis + 1)
    return merged.reshape(*shape[:axis], batch * shape[axis], *shape[axis + 1 :])


def unmerge(y, batch, axis, groups=1):
    """Undo `merge`: the batch dimension comes back as the first."""
    axis %= y.ndim
    size = y.shape[axis] // batch
    split = y.reshape(*y.shape[:axis], groups, batch, size // groups, *y.shape[axis + 1 :])
    return jnp.moveaxis(split, axis + 1, 0).reshape(batch, *y.shape[:axis], size, *y.shape[axis + 1 :])


def _sharding(plain, avals, settings):
    """That of the result, which is part of its type over mesh axes that are Explicit: as of `plain`, or its error."""
    if all(part is None for a in avals for part in a.sharding.spec):
        return avals[0].sharding
    arrays = [jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=a.sharding) for a in avals]
    return jax.eval_shape(functools.partial(plain, **settings), *arrays).sharding


def _one(a, batch_axis):
    """An example like those of an empty batch."""
    return a if batch_axis is None else a.sum(batch_axis, dtype=a.dtype)


def _run(primitive, *arrays, **settings):
    with jax.disable_jit(False):  # where it is disabled, `jax.jit` of the primitive would call this again
        return _compiled(primitive, tuple(sorted(settings.items())))(*arrays)


@functools.lru_cache(maxsize=4096)
def _compiled(primitive, settings):
    return jax.jit(functools.partial(primitive.bind, **dict(settings)))


def _rule(form):
    lower = mlir.lower_fun(form, multiple_results=False)

    def rule(ctx, *arrays, **settings):
        # A form is arithmetic within one device, so the mesh axes that its arguments vary over do not matter to it.
        avals = [ShapedArray(a.shape, a.dtype) for a in ctx.avals_in]
        return lower(ctx.replace(avals_in=avals), *arrays, **settings)

    return rule


def _cpu_rule(form):
    rules = [_rule(functools.partial(form, sharded=sharded)) for sharded in range(3)]
    return lambda ctx, *arrays, **settings: rules[_sharded(ctx)](ctx, *arrays, **settings)


def _sharded(ctx) -> int:
    """See `define`; inside a `shard_map` over all mesh axes the program is divided already."""
    context = ctx.module_context.axis_context
    if isinstance(context, mlir.SPMDAxisContext):
        return 2 * (context.manual_axes != frozenset(context.mesh.axis_names))
    if not isinstance(context, mlir.ShardingContext) or context.num_devices == 1:
        return 0
    # What the mesh is here does not say it: a reshape can divide along a part of an axis.
    prime = all(context.num_devices % n for n in range(2, context.num_devices))
    return 1 if prime else 2
