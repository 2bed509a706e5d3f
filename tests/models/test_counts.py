"""Parameters and multiply-adds of every network that was counted, to the integer; nothing is computed.

`counts.csv` was counted on timm's and torchvision's modules: every weight, and every product of a convolution or dense
layer at that image size. For torchvision's it equals the numbers that torchvision publishes. All of them: `-m zoo`.
"""

import csv
from pathlib import Path

import jax
import numpy as np
import pytest
from models.samples import SMALLEST

from jaxconv.explain.cost import multiply_adds
from jaxconv.models import create_model
from jaxconv.nn import functionalize
from jaxconv.nn.trace import trace

COUNTED = list(csv.DictReader(Path(__file__).with_name("counts.csv").read_text().splitlines()))
AUXILIARY = {"torchvision/inception_v3": {"aux_logits": True}}
"""What was counted with the auxiliary head that training has."""
FAST = {*SMALLEST, "resnet50", "mobilenetv2_100", "efficientnet_b0", "regnety_004", "resnet18"}


def case(row):
    marks = () if row["name"] in FAST else [pytest.mark.slow, pytest.mark.zoo]
    return pytest.param(row, id=f"{row['library']}/{row['name']}/{row['size']}", marks=marks)


@pytest.mark.parametrize("row", list(map(case, COUNTED)))
def test_counts_are_exact(row):
    settings = AUXILIARY.get(f"{row['library']}/{row['name']}", {})
    model, size = create_model(row["name"], key=None, num_classes=1000, **settings), int(row["size"])
    parameters = sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(functionalize(model, key=None)[1]))
    program = trace(model, (1, size, size, 3)).jaxpr.jaxpr
    assert (parameters, sum(multiply_adds(program).values())) == (int(row["parameters"]), int(row["multiply_adds"]))
