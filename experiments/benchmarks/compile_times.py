"""Seconds to build, trace, lower and compile networks for inference and for a training step.

Run: `python experiments/benchmarks/compile_times.py`. A training step is forward, backward and SGD with momentum, the
step that `jaxconv train` takes. Nothing is read from the persistent compilation cache; a network takes a process of its
own, because XLA and JAX remember within one. Beside the seconds of the clock stand the processor's, of all threads
together, for tracing, lowering and compiling: on a machine that others use, they say more.
"""

import json
import subprocess
import sys
import time

import jax
import tyro

from jaxconv.cli.measured import Mode, program
from jaxconv.explain.measure import compile_timed
from jaxconv.models import create_model

NETWORKS = (
    "lenet5 alexnet vgg16_bn googlenet inception_v3 inception_v4 legacy_xception resnet18 resnet50 resnet152 "
    "resnext50_32x4d densenet121 densenet201 squeezenet1_1 shufflenet_v2_x1_0 mobilenetv2_100 mobilenetv3_large_100 "
    "efficientnet_b0 regnety_032 convnext_tiny nfnet_f0 repvgg_a0"
).split()
MODES: tuple[Mode, ...] = ("infer", "train")


def main(
    networks: tuple[str, ...] = tuple(NETWORKS), modes: tuple[Mode, ...] = MODES, batch_size: int = 8, one: bool = False
) -> None:
    """Print a row of a Markdown table for each network.

    Args:
        networks: their names.
        modes: infer, train, or both.
        batch_size: images.
        one: measure the first network in this process, and print JSON.
    """
    if one:
        print(json.dumps({mode: stages(networks[0], mode, batch_size) for mode in modes}))
        return
    columns = [
        f"{mode} {what}" for mode in modes for what in ("trace", "lower", "compile", "processor", "StableHLO lines")
    ]
    print(f"| network | build | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 2)}")
    for name in networks:
        command = [sys.executable, __file__, "--one", "--networks", name, "--batch-size", str(batch_size)]
        result = subprocess.run([*command, "--modes", *modes], capture_output=True, text=True)
        if result.returncode:
            print(f"| {name} | {result.stderr.strip().splitlines()[-1]} |", flush=True)
            continue
        found = json.loads(result.stdout.splitlines()[-1])
        cells = [f"{value:.2f}" if isinstance(value, float) else str(value) for m in modes for value in found[m][1:]]
        print(f"| {name} | {found[modes[0]][0]:.2f} | {' | '.join(cells)} |", flush=True)


def stages(name: str, mode: Mode, batch_size: int) -> tuple[float, float, float, float, float, int]:
    """Seconds to build, trace, lower and compile, the processor's for the last three, and the lines of StableHLO."""
    start = time.perf_counter()
    model = create_model(name)
    built = time.perf_counter() - start
    function, arguments, donate = program(model, mode, batch_size)
    used = time.process_time()
    made = compile_timed(function, *arguments, donate=donate)
    used = time.process_time() - used
    lines = jax.jit(function).lower(*arguments).as_text().count("\n")
    return built, made.trace_seconds, made.lower_seconds, made.compile_seconds, used, lines


if __name__ == "__main__":
    tyro.cli(main)
