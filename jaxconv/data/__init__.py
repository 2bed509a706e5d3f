"""Files to arrays to batches; the order of examples is a function of (seed, step) alone."""

from jaxconv.data.dataset import AnyDataset, Dataset, StreamedDataset
from jaxconv.data.digits import load_digits
from jaxconv.data.order import batch_indices
from jaxconv.data.statistics import normalization

__all__ = [
    "AnyDataset",
    "Dataset",
    "StreamedDataset",
    "batch_indices",
    "load_digits",
    "normalization",
]
