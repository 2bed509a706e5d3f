"""What a record holds, computed now: a network of timm or torchvision on the stand-in weights and images.

python -m models.parity.live [timm/resnet26d 'timm/regnet*' ...] [--no-training]   # from tests/

Needs the extra `parity`. Proves networks that were never recorded as `proof` does those that were; a pattern stands for
all unrecorded ones that it fits (JAXCONV_PARITY names the folder of records), no argument for all of them. With
JAX_ENABLE_X64=1 both sides compute in float64, which tells rounding from another network: the records of `unstable.txt`
are to be looked at that way. It then says also how far the reference's own logits move when the images change in their
last bits: where that is no less than the distance of the two, even float64 does not tell them apart.
"""

import fnmatch
import sys
from functools import cached_property
from itertools import islice
from typing import Any

import jax
import numpy as np
import tyro
from models.parity import proof, synth
from models.parity.record import Record, distance

from jaxconv.models import MODELS


class Live(Record):
    """The fields of a record, except for the pyramid; those of the training step where one is asked for."""

    def __init__(self, case: str, training: bool = True):
        self.net, self.training = reference_model(case), training
        floats = {key: value for key, value in self.net.state_dict().items() if value.is_floating_point()}
        self.state = {key: synth.tensor(key, tuple(value.shape)) for key, value in floats.items()}
        self._fill()
        self.net = self.net.double() if jax.config.jax_enable_x64 else self.net
        published = getattr(self.net, "default_cfg", {}).get("input_size", (3, 224, 224))[1:]
        candidates = ([128, 128], [143, 111], list(published))
        self.sizes = list(islice((size for size in candidates if self._takes(*size)), 2))

    def _takes(self, height: int, width: int) -> bool:
        """Whether the reference takes images of this size."""
        import torch

        try:
            with torch.no_grad():
                self.net.eval()
                self._run(2, height, width)
        except (AssertionError, RuntimeError):
            return False
        return True

    @cached_property
    def arrays(self) -> dict[str, np.ndarray]:
        """Logits in evaluation mode, and in training mode."""
        import torch

        with torch.no_grad():
            self.net.eval()
            found = {f"logits_{h}x{w}": self._run(2, h, w).numpy() for h, w in self.sizes}
        return found | ({"train_logits": self._trained[0]} if self.training else {})

    @cached_property
    def meta(self) -> dict[str, Any]:
        """As in a record."""
        shapes = {key: list(value.shape) for key, value in self.state.items()}
        params = sum(p.numel() for p in self.net.parameters())
        return {"sizes": self.sizes, "state": shapes, "params": params} | (self._trained[1] if self.training else {})

    def sensitivity(self) -> dict[str, float]:
        """Relative change of the evaluation logits when every pixel changes by a relative 1e-15 N(0, 1)."""
        import torch

        with torch.no_grad():
            self.net.eval()
            moved = {f"{h}x{w}": self._run(2, h, w, noise=1e-15).numpy() for h, w in self.sizes}
        return {size: distance(logits, self.arrays[f"logits_{size}"]) for size, logits in moved.items()}

    def _run(self, n: int, height: int, width: int, noise: float = 0.0):
        import torch

        images = np.asarray(proof.images(n, height, width)).transpose(0, 3, 1, 2)
        moved = images * (1 + noise * np.random.default_rng(0).standard_normal(images.shape)).astype(images.dtype)
        output = self.net(torch.tensor(moved))
        return output[0] if isinstance(output, tuple) else output

    @cached_property
    def _trained(self) -> tuple[np.ndarray, dict[str, Any]]:
        """Logits of one step in training mode, and what is recorded of it besides."""
        import torch

        self.net.train()
        logits = self._run(4, *self.sizes[0])
        labels = torch.tensor(synth.labels(4, logits.shape[-1])).long()
        loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        meta = {
            "train_size": [4, *self.sizes[0]],
            "train_loss": float(loss.detach()),
            "grad_norm": {k: None if p.grad is None else float(p.grad.norm()) for k, p in self.net.named_parameters()},
            "running_norm": {k: float(v.norm()) for k, v in self.net.named_buffers() if "running_" in k},
        }
        self._fill()
        return logits.detach().numpy(), meta

    def _fill(self) -> None:
        import torch

        state = self.net.state_dict()  # with the versions that torchvision asks for
        state.update({key: torch.tensor(value) for key, value in self.state.items()})
        self.net.load_state_dict(state)


def reference_model(case: str):
    """The network, without dropout and drop path, and with auxiliary heads where the records have them."""
    import timm
    import torchvision

    library, name = case.split("/")
    if library == "timm":
        net = timm.create_model(name)
    else:
        auxiliary = {"aux_logits": True, "init_weights": False} if name in proof.WITH_AUXILIARY else {}
        net = torchvision.models.get_model(name, weights=None, **auxiliary)
    for module in net.modules():
        if hasattr(module, "drop_rate"):  # of a dropout that is no module
            module.drop_rate = 0.0
        if type(module).__name__ in ("Dropout", "StochasticDepth"):
            module.p = 0.0
        elif type(module).__name__ == "DropPath":
            module.drop_prob = 0.0
    return net


def unrecorded() -> list[str]:
    """Networks of timm and torchvision that have no record."""
    import timm
    import torchvision

    names = torchvision.models.list_models(module=torchvision.models)
    known = [f"timm/{name}" for name in MODELS if timm.is_model(name)] + [f"torchvision/{name}" for name in names]
    recorded = proof.recorded()
    return [case for case in known if case not in recorded and case.split("/")[1] in MODELS]


def main(patterns: tyro.conf.Positional[tuple[str, ...]] = ("*",), training: bool = True) -> int:
    """Prints every distance; ends with 1 if a check failed.

    Args:
        patterns: library/network, recorded or not, or patterns that stand for all unrecorded ones that they fit.
        training: whether to take a step in training mode, too, which takes most of the time.
    """
    known = unrecorded()
    cases = [case for pattern in patterns for case in fnmatch.filter(known, pattern) or [pattern]]
    return int(sum(_proved(case, training) for case in cases) > 0)


def _proved(case: str, training: bool) -> int:
    record = Live(case, training)
    failed = proof.proved(case, record, training=training)
    if jax.config.jax_enable_x64:
        print(f"{case} the reference itself, its images changed by 1e-15: {record.sensitivity()}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
