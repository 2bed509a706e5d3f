"""Training: experiments, the step, the loop, checkpoints. It knows pytrees, not models."""

from jaxconv.train.bad_images import MOST_BAD_IMAGES, BadImagesError
from jaxconv.train.checkpoint import CheckpointError, NonFiniteError
from jaxconv.train.experiment import Experiment, Result
from jaxconv.train.loop import fit
from jaxconv.train.optimizers import OPTIMIZERS, SCHEDULES, make_optimizer, make_schedule
from jaxconv.train.preprocess import Preprocess
from jaxconv.train.run import Run, RunError
from jaxconv.train.saving import Saving
from jaxconv.train.state import TrainState, initial_state
from jaxconv.train.step import make_eval_step, make_train_step
from jaxconv.train.stop import Stopped
from jaxconv.train.trainer import Trainer

__all__ = [
    "MOST_BAD_IMAGES",
    "OPTIMIZERS",
    "SCHEDULES",
    "BadImagesError",
    "CheckpointError",
    "Experiment",
    "NonFiniteError",
    "Preprocess",
    "Result",
    "Run",
    "RunError",
    "Saving",
    "Stopped",
    "TrainState",
    "Trainer",
    "fit",
    "initial_state",
    "make_eval_step",
    "make_optimizer",
    "make_schedule",
    "make_train_step",
]
