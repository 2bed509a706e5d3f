"""Files to arrays to batches; the order of examples is a function of (seed, step) alone."""

from jaxconv.data.crop import EvaluationCrop
from jaxconv.data.dataset import AnyDataset, Dataset, StreamedDataset
from jaxconv.data.digits import load_digits
from jaxconv.data.download import DownloadError
from jaxconv.data.image import ImageError, list_images, read_crop, read_image
from jaxconv.data.imagenet import imagenet_classes
from jaxconv.data.load import load_dataset
from jaxconv.data.order import batch_indices
from jaxconv.data.prefetch import Batch, Loader, batches, ordered_batches
from jaxconv.data.statistics import normalization
from jaxconv.data.worker import LoaderError

__all__ = [
    "AnyDataset",
    "Batch",
    "Dataset",
    "DownloadError",
    "EvaluationCrop",
    "ImageError",
    "Loader",
    "LoaderError",
    "StreamedDataset",
    "batch_indices",
    "batches",
    "imagenet_classes",
    "list_images",
    "load_dataset",
    "load_digits",
    "normalization",
    "ordered_batches",
    "read_crop",
    "read_image",
]
