"""Reading published checkpoints without the libraries that wrote them, and naming what is in them."""

from jaxconv.weights.naming import from_reference, reference_name, reference_shape, to_reference

__all__ = ["from_reference", "reference_name", "reference_shape", "to_reference"]
