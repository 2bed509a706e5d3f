"""From a network with branches to the same network with one convolution in the place of each set of them."""

from typing import TypeVar

from flax import nnx

from jaxconv.models.network import Network

NetworkT = TypeVar("NetworkT", bound=Network)


def reparameterize(model: NetworkT) -> NetworkT:
    """A copy of `model` in which every block that has branches for training is one convolution with a bias.

    In evaluation it gives the same answers (RepVGG, arXiv:2101.03697, section 3.3); it is not meant for training, as
    the running statistics are part of its kernels. A network without such blocks is copied.

    Args:
        model: a drawn or loaded network; it stays as it is. Its blocks with branches have a method `fused`.

    Raises:
        ValueError: if the parameters are not drawn.
    """
    copy = nnx.clone(model)
    _fuse_children(copy)
    return copy


def _fuse_children(module: nnx.Module) -> None:
    if isinstance(module, nnx.List):
        for index, child in enumerate(module):
            module[index] = _fused(child)
        return
    for name, child in list(vars(module).items()):
        if isinstance(child, nnx.Module):
            setattr(module, name, _fused(child))


def _fused(child):
    if hasattr(child, "fused"):
        return child.fused()
    if isinstance(child, nnx.Module):
        _fuse_children(child)
    return child
