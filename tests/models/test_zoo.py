"""Every recorded network beside its reference: names, shapes, pyramid, answers, gradients, running statistics.

The records beside the tests (one of each family) are always used, but for the answers of those that compile for very
long; those in the folder that JAXCONV_PARITY names too, where it is set: `pytest -m zoo` runs the pyramids and the
answers of all of them.
"""

import jax
import pytest
from models.compiled import fast_jit
from models.parity import proof
from models.parity.record import Record

from jaxconv.models import MODELS

CASES = {case: path for case, path in proof.recorded().items() if case.split("/")[1] in MODELS}
OWN = [case for case, path in CASES.items() if path.is_relative_to(proof.HERE)]
OTHERS = [case for case in CASES if case not in OWN]
LONG = (
    "timm/convmixer_768_32",
    "timm/convnext_atto",
    "timm/densenet121",
    "timm/efficientnet_b0",
    "timm/inception_v3",
    "timm/inception_v4",
    "timm/legacy_xception",
    "timm/mobilenetv3_small_050",
    "timm/nfnet_l0",
    "timm/vgg13",
    "timm/xception41",
)
"""Programs that take a quarter of a minute and more to compile: only `-m zoo` asks for their answers."""
ANSWERS = [
    pytest.param(case, marks=[pytest.mark.slow, *([pytest.mark.zoo] if case in (*LONG, *OTHERS) else [])])
    for case in CASES
]


@pytest.mark.parametrize("case", CASES)
def test_names_and_shapes(case):
    proof.check_state(case, Record(CASES[case]))


@pytest.mark.parametrize("case", [*OWN, *(pytest.param(case, marks=pytest.mark.zoo) for case in OTHERS)])
def test_pyramid(case):
    proof.check_features(case, Record(CASES[case]))


@pytest.mark.slow
@pytest.mark.parametrize("case", ["timm/resnet14t", "torchvision/mnasnet0_75"])
def test_a_network_without_a_record(case):
    """Where timm and torchvision are installed; `python -m models.parity.live` goes through all of them."""
    pytest.importorskip("timm")
    pytest.importorskip("torchvision")
    from models.parity.live import Live

    record = Live(case)
    network = proof.loaded(case, record)
    proof.check_evaluation(case, network, record)
    proof.check_training(case, network, record)


@pytest.mark.parametrize("case", ANSWERS)
def test_answers_and_gradients(case):
    record = Record(CASES[case])
    network, jit = proof.loaded(case, record), fast_jit if case in OWN else jax.jit
    if case not in proof.UNSTABLE:
        proof.check_evaluation(case, network, record, jit)
    proof.check_training(case, network, record, jit)
