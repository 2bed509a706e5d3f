"""Checkpoints on the Hugging Face hub, or in its cache."""

from pathlib import Path

FILES = ("model.safetensors", "pytorch_model.bin")
"""What timm calls the weights of a repository, the one to prefer first."""


class UnreachableError(ConnectionError, ValueError):
    """The hub cannot be asked, and its cache does not have the weights: another time they may be had."""


def hub_file(repository: str) -> Path:
    """The weights of a repository such as "timm/resnet50.a1_in1k", downloaded unless the cache has them.

    The cache and its place (HF_HOME), and working without a network (HF_HUB_OFFLINE), are huggingface_hub's.

    Raises:
        ModuleNotFoundError: if huggingface_hub is not installed.
        ValueError: if `repository` is the address of a file elsewhere, or the hub has no such weights.
        UnreachableError: if there is no network, or none is wanted.
    """
    if "://" in repository:
        raise ValueError(
            f"These weights are not on the hub: download {repository} and name the file, pretrained='file' or "
            "load_weights(model, 'file')."
        )
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "Published weights come through huggingface_hub: pip install 'jaxconv[pretrained]'."
        ) from error
    failure: Exception | None = None
    unreachable = False
    for name in FILES:
        try:  # what cannot be asked for one name, after some tries, is not asked for the next
            return Path(hf_hub_download(repository, name, local_files_only=unreachable))
        except LocalEntryNotFoundError as error:
            failure, unreachable = failure or error, True
        except EntryNotFoundError as error:
            failure = error
    kind = UnreachableError if unreachable else ValueError
    why = str(failure).rstrip(".")
    raise kind(f"{repository} has none of {', '.join(FILES)}, or cannot be reached: {why}.") from failure
