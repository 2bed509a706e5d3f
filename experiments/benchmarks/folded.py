"""Time inference of networks beside their deploy form (`jaxconv.fold`), in turns.

Run: `python experiments/benchmarks/folded.py --networks resnet50 mobilenetv2_100 repvgg_a0 --batch-sizes 1 8`
"""

import alternate
import jax
import numpy as np
import tyro

from jaxconv.cli.measured import program
from jaxconv.models import create_model, fold


def main(
    networks: tuple[str, ...] = ("resnet50", "mobilenetv2_100", "repvgg_a0"),
    batch_sizes: tuple[int, ...] = (1, 8),
    rounds: int = 9,
) -> None:
    """Print a line for each network and batch size: both times, and how many times faster the deploy form is.

    Args:
        networks: their names.
        batch_sizes: images a call.
        rounds: how many rounds are kept.
    """
    for name in networks:
        model = create_model(name)
        for images in batch_sizes:
            forms = {"plain": model, "folded": fold(model)}
            result = alternate.compare({form: call(net, images) for form, net in forms.items()}, rounds=rounds)
            ratios = [a / b for a, b in zip(result.rounds["plain"], result.rounds["folded"])]
            low, high = np.quantile(ratios, (0.25, 0.75))
            times = ", ".join(f"{form} {result.milliseconds(form):.1f} ms" for form in forms)
            faster = f"{result.ratio('plain', 'folded'):.2f} times as fast ({low:.2f} to {high:.2f})"
            print(f"{name}, {images} images: {times}: {faster}; others {result.other_cores:.2f} cores", flush=True)


def call(model, images: int):
    """The compiled forward pass."""
    function, arguments, _ = program(model, "infer", images)
    forward = jax.jit(function).lower(*arguments).compile()
    return lambda: jax.block_until_ready(forward(*arguments))


if __name__ == "__main__":
    tyro.cli(main)
