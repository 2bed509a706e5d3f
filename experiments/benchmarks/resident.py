"""Memory that a training step really holds: resident, of a fresh process for each form.

Run: `python experiments/benchmarks/resident.py --network resnet50 --batch 8`

What XLA plans (`nets.py --memory`) leaves out what is not given back between steps, and fragments. Each form, ours and
plain `lax`, trains in a process of its own. MiB: resident after the first step; the most during the others, the
kernel's high-water mark having been reset; the most of the whole process, compilation included. Linux only.
"""

import subprocess
import sys
from pathlib import Path

import tyro


def main(network: str = "resnet50", batch: int = 8, steps: int = 5, form: str = "") -> None:
    """Print one line a form, and how much more ours takes.

    Args:
        network: its name in `architectures.py`.
        batch: images in a step.
        steps: how many are run.
        form: ours or lax: measure that one in this process; empty means each in a process of its own.
    """
    if form:
        print(*_measure(network, batch, steps, form))
        return
    peaks = {}
    for name in ("ours", "lax"):
        command = [sys.executable, __file__, "--network", network, "--batch", str(batch), "--steps", str(steps)]
        run = subprocess.run([*command, "--form", name], check=True, stdout=subprocess.PIPE, text=True)
        before, peak, whole = (int(kilobytes) / 1024 for kilobytes in run.stdout.split())
        peaks[name] = peak
        print(f"{name:5} {before:7.0f} MiB after a step {peak:7.0f} at most {whole:7.0f} with compilation")
    print(f"ours / lax, peak: {peaks['ours'] / peaks['lax']:.2f}")


def _measure(name, batch, steps, form):
    import nets

    from jaxconv.functional import lowering
    from jaxconv.functional.lowering import plain

    network = nets.NETWORKS[name]
    module = {"ours": lowering, "lax": plain}[form]
    _, _, call = nets.program(network, module, "train", *nets.draw(network, batch))
    before, whole = _status("VmRSS"), _status("VmHWM")
    Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    for _ in range(steps):
        call()
    return before, _status("VmHWM"), max(whole, _status("VmHWM"))


def _status(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(field + ":")).split()[1])


if __name__ == "__main__":
    tyro.cli(main)
