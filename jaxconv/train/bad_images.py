"""The images of a run that cannot be used: each named once, all counted, too many refused."""

import itertools
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import jax

from jaxconv.data import AnyDataset, ImageError
from jaxconv.data.stored import drop_cut_line, read_rows
from jaxconv.train.processes import agreed, gathered, is_first
from jaxconv.train.run import RunError

MOST_BAD_IMAGES = 10
"""The budget where none is stated: a few odd files in a million, as every large collection has, are no reason to end
a run of days; a damaged copy of the data has more at once. (Of ImageNet-1k's odd files, the PNG called JPEG and the
CMYK ones, none is bad here: they are decoded.)"""

_LISTED = 20
_REPLACED = "the next usable one takes its place"


class BadImagesError(ImageError):
    """More images cannot be used than the run may have; the message lists them."""


class BadImages:
    """What is known of the unusable images of a run.

    The record lives in `bad_images.jsonl` of the run directory, one line an image, so that a run that is continued
    counts what it had found before; the same image is counted once, however often it is drawn. Where several processes
    share the run, each reads a part of every batch: process 0 hears from all, keeps the record and decides (`share`).

    Args:
        most: the budget; one more ends the run.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._found: dict[tuple[str, int, str], None] = {}  # split, position, why; in the order of their finding
        self._untold: list[tuple[str, int, str]] = []
        self._path: Path | None = None
        self._say: Callable[[str], None] = lambda text: print(f"jaxconv: {text}", file=sys.stderr, flush=True)

    def __len__(self) -> int:
        return len(self._found)

    def keep(self, directory: Path, say: Callable[[str], None], datasets: Sequence[AnyDataset]) -> None:
        """Take up the record of a run directory, and note what the splits know to be bad from their decoding.

        Args:
            directory: of the run.
            say: told of each image that was not known before, and once of those that were.
            datasets: the splits of the run.

        Raises:
            BadImagesError: if that is more than the budget.
            RunError: if the record is damaged.
        """
        self._path, self._say = directory / "bad_images.jsonl", say
        drop_cut_line(self._path)
        for row in read_rows(self._path, RunError, split=str, index=int, what=str):
            self._found[row["split"], row["index"], row["what"]] = None
        if self._found:
            say(f"{len(self)} bad images were found before in this run, which {self._path} names.")
        for dataset in datasets:
            self.note(dataset.split, dataset.bad, _REPLACED)
            self.note(dataset.split, dataset.left_out, "it is left out of the evaluation")
        self._require_few(self._reasons())

    def require_few_at_opening(self, datasets: Sequence[AnyDataset]) -> None:
        """Refuse splits that are known to hold too many, before a run directory is made for them.

        Raises:
            BadImagesError: if that is more than the budget.
        """
        known = [why for dataset in datasets for bad in (dataset.bad, dataset.left_out) for why in bad.values()]
        self._require_few(known)

    def note(self, split: str, bad: Mapping[int, str], what_follows: str) -> None:
        """Record and tell what was not known.

        Args:
            split: the name of the split.
            bad: by position in the split, why an image cannot be used.
            what_follows: what becomes of it.
        """
        new = [row for row in ((split, index, bad[index]) for index in sorted(bad)) if row not in self._found]
        self._found.update(dict.fromkeys(new))
        if new and self._path is not None:
            lines = [json.dumps({"split": split, "index": index, "what": why}) + "\n" for _, index, why in new]
            with suppress(OSError), self._path.open("a") as file:  # on a full disk they are found and counted again
                file.write("".join(lines))
        for *_, why in new[:_LISTED]:
            self._say(f"bad image, {what_follows}: {why}")

    def drawn(self, split: str, bad: Mapping[int, str]) -> None:
        """Note the bad images of this process's rows of a batch to train on.

        Raises:
            BadImagesError: if there are now more than the budget, and no other process to agree with; see `share`.
        """
        if jax.process_count() > 1:
            self._untold += [row for row in ((split, *item) for item in bad.items()) if row not in self._found]
            return
        self.note(split, bad, _REPLACED)
        self._require_few(self._reasons())

    def share(self) -> None:
        """Where several processes share the run, all call this at the same step: what each has met becomes known.

        Raises:
            BadImagesError: on process 0 if there are now more than the budget; `PeerError` on the others then.
        """
        if jax.process_count() == 1:
            return
        told = [json.loads(text) for text in gathered(json.dumps(self._untold))]
        if not any(told):
            return
        if is_first():
            rows = sorted(itertools.chain.from_iterable(told))
            for split, of_split in itertools.groupby(rows, lambda row: row[0]):
                self.note(split, {index: why for _, index, why in of_split}, _REPLACED)
        else:
            self._found.update(dict.fromkeys(self._untold))
        self._untold = []
        agreed(lambda: self._require_few(self._reasons()), tell=False)

    def _reasons(self) -> list[str]:
        return [why for *_, why in self._found]

    def _require_few(self, found: Sequence[str]) -> None:
        if len(found) > self._most:
            lines = "".join(f"\n  {why}" for why in found[:_LISTED])
            more = f"\n  and {len(found) - _LISTED:,} more" if len(found) > _LISTED else ""
            where = f"; {self._path} names them all" if self._path else ""
            raise BadImagesError(
                f"max_bad_images must not be less than the number of images that cannot be used; "
                f"it is {self._most} and {len(found):,} were found{where}:{lines}{more}"
            )
