"""The deploy form of a network: fewer layers, the same answers in evaluation.

A batch norm with fixed statistics is a factor and a shift for each channel. Where it reads the output of a convolution
that nothing else reads, the factor goes into the kernel and the shift into a bias. Which norm follows which convolution
is read from a traced forward pass, not from names: a new family folds without a word about folding.
"""

from collections import Counter, defaultdict
from typing import Any, TypeVar

from flax import nnx
from jax.extend.core import JaxprEqn, Var

from jaxconv.models.network import Network
from jaxconv.models.reparameterize import reparameterize
from jaxconv.nn import Activate, BatchNorm, Conv
from jaxconv.nn.activation import identity
from jaxconv.nn.norm_act import BatchNormAct
from jaxconv.nn.standardized import StandardizedConv
from jaxconv.nn.trace import Trace, call_of, trace

NetworkT = TypeVar("NetworkT", bound=Network)
Convs = tuple[str, ...]


def fold(model: NetworkT) -> NetworkT:
    """A copy of `model` for evaluation, with its norms and branches folded into plain convolutions.

    The new kernels are worked out in float64 and rounded once. Logits and features are the same but for that rounding
    (tested to 1e-4, computed in float64, for every family); training goes wrong, as the running statistics are part of
    the kernels. What is folded: the branches of RepVGG and MobileOne (`reparameterize`),
    every batch norm that `foldable_norms` names, and the kernels that are standardized at every call. Left as they are:
    norms before their convolution (pre-activation, DenseNet's first of each layer) or behind an activation (ConvMixer),
    norms over the examples themselves (group, layer, filter response), kernels that depend on the image, and
    auxiliary heads, which only training calls.

    Args:
        model: a drawn or loaded network; it stays as it is.

    Raises:
        ValueError: if the parameters are not drawn.
    """
    copy = reparameterize(model)
    for norm, convs in foldable_norms(copy).items():
        _fold_norm(copy, norm, convs)
    for path, module in list(nnx.iter_modules(copy)):
        if isinstance(module, StandardizedConv):
            _put(copy, _name(path), module.with_weights(*module.weights()))
    return copy


def foldable_norms(model: Network) -> dict[str, Convs]:
    """The batch norms that can be folded, by attribute path, with the convolutions whose outputs they read.

    There are several convolutions where their outputs are joined along channels before the norm (MixNet). A norm counts
    if each module is called once, nothing else reads those outputs, and neither a call nor `features` returns them.

    Args:
        model: the network, drawn or not.
    """
    shape = (1, *model.info.input_size, model.info.in_chans)
    whole, features = (trace(model, shape, method) for method in ("__call__", "features"))
    also, called = _followed(model, features), {call.path for call in features.calls}
    return {
        norm: convs
        for norm, convs in _followed(model, whole).items()
        if also.get(norm) == convs or called.isdisjoint(convs)
    }


def _followed(model: Network, traced: Trace) -> dict[str, Convs]:
    """Norm -> the convolutions that it alone reads, in one traced pass."""
    program = _Program(model, traced)
    found = {path: program.convs_of(index) for path, index in program.once.items() if program.is_a(path, BatchNorm)}
    return {path: convs for path, convs in found.items() if convs}


class _Program:
    """Who makes and who reads each value of a traced pass."""

    def __init__(self, model: Network, traced: Trace):
        jaxpr = traced.jaxpr.jaxpr
        self.modules = {_name(path): module for path, module in nnx.iter_modules(model)}
        times = Counter(call.path for call in traced.calls)
        self.once = {call.path: index for index, call in enumerate(traced.calls) if times[call.path] == 1}
        outputs, returned = jaxpr.outvars[: len(traced.calls)], jaxpr.outvars[len(traced.calls) :]
        self.convs = {outputs[index]: path for path, index in self.once.items() if self.is_a(path, Conv)}
        self.given, self.returned = set(jaxpr.invars), {var for var in returned if isinstance(var, Var)}
        self.makers = {var: eqn for eqn in jaxpr.eqns for var in eqn.outvars}
        self.readers: dict[Var, list[JaxprEqn]] = defaultdict(list)
        self.inside: dict[int | None, list[JaxprEqn]] = defaultdict(list)
        for eqn in jaxpr.eqns:
            self.inside[call_of(eqn)].append(eqn)
            for var in _read_by(eqn):
                self.readers[var].append(eqn)

    def is_a(self, path: str, kind: type) -> bool:
        return isinstance(self.modules[path], kind)

    def convs_of(self, norm: int) -> Convs:
        """The convolutions whose joined outputs the call `norm` alone reads; none if it reads anything else."""
        own = self.inside[norm]
        made = {var for eqn in own for var in eqn.outvars}
        read = {var for eqn in own for var in _read_by(eqn)} - made - self.given
        return self._sources(read.pop(), own) if len(read) == 1 else ()

    def _sources(self, var: Var, readers: list[JaxprEqn]) -> Convs:
        if var in self.returned or any(all(eqn is not other for other in readers) for eqn in self.readers[var]):
            return ()
        if var in self.convs:
            return (self.convs[var],)
        eqn = self.makers[var]
        if eqn.primitive.name != "concatenate" or eqn.params["dimension"] != var.aval.ndim - 1:  # pyright: ignore[reportAttributeAccessIssue]  (an array)
            return ()
        parts = [self._sources(part, [eqn]) if isinstance(part, Var) else () for part in eqn.invars]
        return sum(parts, ()) if all(parts) else ()


def _read_by(eqn: JaxprEqn) -> set[Var]:
    return {var for var in eqn.invars if isinstance(var, Var)}


def _fold_norm(model: Network, path: str, convs: Convs) -> None:
    norm = _get(model, path)
    (factor, shift), start = norm.affine(), 0
    for conv_path in convs:
        conv = _get(model, conv_path)
        kernel, bias = conv.weights()
        part = slice(start, start := start + kernel.shape[-1])
        folded = shift[part] if bias is None else bias * factor[part] + shift[part]
        _put(model, conv_path, conv.with_weights(kernel * factor[part], folded))
    _put(model, path, Activate(norm.activation if isinstance(norm, BatchNormAct) else identity))


def _name(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


def _get(model: nnx.Module, path: str) -> Any:
    for name in path.split("."):
        model = model[int(name)] if isinstance(model, nnx.List) else getattr(model, name)
    return model


def _put(model: nnx.Module, path: str, module: nnx.Module) -> None:
    *parents, name = path.split(".")
    parent = _get(model, ".".join(parents)) if parents else model
    if isinstance(parent, nnx.List):
        parent[int(name)] = module
    else:
        setattr(parent, name, module)
