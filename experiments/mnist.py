"""Nielsen's two-convolution ReLU network on MNIST, with today's defaults.

Source: Nielsen 2015, "Neural Networks and Deep Learning", chapter 6: two 5x5 convolutions of 20 and 40 maps, each with
a 2x2 max pool, 100 dense neurons, softmax; 85,670 parameters. The book reaches 99.23 % (SGD, batches of 10, 60 epochs,
L2 weight decay), and 99.37 % with the training set expanded by shifts of one pixel. Here: He's initial weights, Adam
with warm-up and cosine decay, batches of 128, random shifts of up to two pixels, all 60,000 training images.

Command: python experiments/mnist.py
Hardware: two cores of an AMD EPYC, no accelerator
Time: 62 s for 10 epochs with jax 0.12, compilation included, with no other work on the machine
Accuracy: 99.43 % of the 10,000 test images at the end of the last epoch (seed 0; no epoch was selected)
"""

import sys
from pathlib import Path

from jaxconv.cli.knobs import Knobs, build_experiment
from jaxconv.cli.recipe import run_recipe
from jaxconv.train import Experiment


def nielsen_mnist(
    *,
    epochs: int = 10,
    learning_rate: float = 2e-3,
    batch_size: int = 128,
    weight_decay: float = 0.0,
    seed: int = 0,
    data_dir: Path | None = None,
    devices: int | None = None,
) -> Experiment:
    """Train Nielsen's two-convolution ReLU network on MNIST and measure it on the 10,000 test images.

    Args:
        epochs: Passes over the 60,000 training images.
        learning_rate: Peak of Adam's.
        batch_size: Images a step.
        weight_decay: L2 decay of kernels.
        seed: Of weights, order and augmentation.
        data_dir: Where the original archives or a prepared set lie. Default: they are downloaded once.
        devices: How many share a batch. Default: all.
    """
    knobs = Knobs(
        model="nielsen_conv2_relu",
        data="mnist",
        data_dir=data_dir,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        augment="shift",
        seed=seed,
        devices=devices,
    )
    return build_experiment(knobs, model_options={"init": "he"})


if __name__ == "__main__":
    sys.exit(run_recipe(nielsen_mnist))
