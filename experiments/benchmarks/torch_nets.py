"""The networks of `architectures` in torch, as functions of a list of parameters."""

import torch  # pyright: ignore[reportMissingImports]  (a peer, installed for this benchmark alone)
import torch.nn.functional as F  # pyright: ignore[reportMissingImports]  (a peer)
from architectures import sides

torch.set_num_threads(2)
_RATE, _MOMENTUM, _EPSILON = 0.01, 0.9, 1e-5


class Torch:
    """The builder of a forward pass over (n, c, h, w) in either memory layout."""

    def __init__(self, params, train):
        self.params, self.train = iter(params), train

    def conv(self, x, features, window, stride=1, padding=None, groups=1):
        """See `architectures.Shapes`, as for all layers."""
        return F.conv2d(x, next(self.params), None, stride, sides(window, padding)[1], 1, groups)

    def bias(self, x):
        return x + next(self.params).view(-1, 1, 1)

    def norm(self, x):
        scale, bias = next(self.params), next(self.params)
        if self.train:
            return F.batch_norm(x, None, None, scale, bias, True, 0.0, _EPSILON)
        zeros, ones = torch.zeros_like(bias), torch.ones_like(bias)
        return F.batch_norm(x, zeros, ones, scale, bias, False, 0.0, _EPSILON)

    def dense(self, x, features):
        matrix, bias = next(self.params), next(self.params)
        return torch.addmm(bias, x, matrix)

    def relu(self, x):
        return F.relu(x)

    def relu6(self, x):
        return F.relu6(x)

    def add(self, x, y):
        return x + y

    def join(self, xs):
        return torch.cat(xs, 1)

    join_dense = join

    def max_pool(self, x, window, stride, padding=0):
        return F.max_pool2d(x, window, stride, padding)

    def mean_pool(self, x, window, stride, padding=0):
        return F.avg_pool2d(x, window, stride, padding)

    def mean(self, x):
        return x.mean((2, 3))

    def flatten(self, x):
        return x.permute(0, 2, 3, 1).flatten(1)


def build(network, mode, params, images, labels, compiled):
    """Variants by name: a call for timing, and what it computes (logits, or the loss of the first step)."""
    variants = {}
    # All networks share one `forward`, of which no more than eight programs are kept before torch gives up compiling.
    torch._dynamo.reset()
    for layout in (torch.contiguous_format, torch.channels_last):
        label = "torch NCHW" if layout == torch.contiguous_format else "torch NHWC"
        x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=layout)
        tensors = [_parameter(p, layout) for p in params]
        make = _inference if mode == "infer" else _training
        variants[label] = make(network, tensors, x, torch.from_numpy(labels), None)
        if compiled:
            tensors = [_parameter(p, layout) for p in params]
            options = {"freezing": True} if mode == "infer" else {}
            wrap = lambda f, options=options: torch.compile(f, options=options)  # noqa: E731  # one line beside its use
            variants[f"{label} compiled"] = make(network, tensors, x, torch.from_numpy(labels), wrap)
    return variants


def _parameter(array, layout):
    tensor = torch.from_numpy(array.copy())
    if tensor.ndim == 4:
        tensor = tensor.permute(3, 2, 0, 1).contiguous(memory_format=layout)
    return tensor


class _Module(torch.nn.Module):
    """The network as a module, which is what freezing takes."""

    def __init__(self, network, tensors):
        super().__init__()
        self.network = network
        self.tensors = torch.nn.ParameterList(tensors)

    def forward(self, x):
        return self.network.build(Torch(self.tensors, self.training), x)


def _inference(network, tensors, x, labels, wrap):
    module = _Module(network, tensors).eval().requires_grad_(False)
    function = wrap(module) if wrap else module

    def call():
        with torch.no_grad():
            return function(x)

    return call, call().numpy()


def _training(network, tensors, x, labels, wrap):
    module = _Module(network, tensors).train()
    optimizer = torch.optim.SGD(module.parameters(), _RATE, _MOMENTUM)
    function = wrap(module) if wrap else module

    def call():
        optimizer.zero_grad()
        loss = F.cross_entropy(function(x), labels)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return call, call().numpy()
