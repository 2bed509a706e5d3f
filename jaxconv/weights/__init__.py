"""Reading published checkpoints without the libraries that wrote them, and naming what is in them."""

from jaxconv.weights.naming import from_reference, reference_name, reference_shape, to_reference
from jaxconv.weights.read import read_weights
from jaxconv.weights.safetensors import write_safetensors

__all__ = [
    "from_reference",
    "read_weights",
    "reference_name",
    "reference_shape",
    "to_reference",
    "write_safetensors",
]
