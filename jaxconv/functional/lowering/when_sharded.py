"""Conditions on convolutions that XLA is to divide among devices, and divides wrongly (`Case.sharded`, see `cpu`)."""

from jaxconv.functional.lowering import when
from jaxconv.functional.lowering.when import Case


def grouped(case: Case) -> bool:
    """Groups, and strides, or arrays divided among some of the devices only."""
    return when.grouped(case) and (case.sharded > 1 or (case.sharded == 1 and _strided(case)))


def input_grad(case: Case) -> bool:
    """Strides, or more positions than places in the input; or some devices only, and a window longer than a map."""
    extents = [d * (w - 1) + 1 for d, w in zip(case.dilation, case.window)]
    longer = any(extent > min(sizes) for extent, *sizes in zip(extents, case.space, case.out))
    return _not_one_to_one(case) or (case.sharded > 1 and when.few_taps(case) and longer)


def kernel_grad(case: Case) -> bool:
    """Strides, or more positions than places in the input; or some devices only."""
    return _not_one_to_one(case) or (case.sharded > 1 and when.few_taps(case))


def _not_one_to_one(case):
    beyond = any(out > size for out, size in zip(case.out, case.space))
    return case.sharded > 0 and when.few_taps(case) and (_strided(case) or beyond)


def _strided(case):
    return any(s > 1 for s in case.strides)
