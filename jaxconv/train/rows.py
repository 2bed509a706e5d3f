"""Which rows the metrics of a run have: where means are recorded, and what must have been by a step."""

from collections.abc import Iterator

from jaxconv.train.experiment import Experiment

RECORDS_PER_EPOCH = 10


def next_record(experiment: Experiment, epoch: int, step: int) -> int:
    """After how many steps of an epoch (from 1) the means since the last record are due, `step` having been taken."""
    end = experiment.epoch_end(epoch)
    every = max(1, end // epoch // RECORDS_PER_EPOCH)
    return min(end, (step // every + 1) * every)


def due(experiment: Experiment, step: int) -> Iterator[tuple[int, str]]:
    """Step and split of each row that is written before a state after `step` steps is saved.

    Not the evaluation of that very step: a stop saves before it.
    """
    taken = 0
    for epoch in range(1, experiment.epochs + 1):
        end = experiment.epoch_end(epoch)
        while taken < end:
            taken = next_record(experiment, epoch, taken)
            if taken > step:
                return
            yield taken, "train"
        if end < step:
            yield end, "eval"
