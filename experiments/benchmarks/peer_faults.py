"""What faults do to training with jaxconv, with Orbax alone, and in the way of Flax's ImageNet example.

Each system is a command (`jaxconv train`, or a loop of `peer_loops.py`) that trains the same small network on the
digits for 90 steps and saves every 5. Every fault happens to a real process and real files; the same code does it to
all of them and judges all by their final parameters, exit codes and messages.

Command: python experiments/benchmarks/peer_faults.py
Hardware: any CPU; the fault `disk` mounts a small tmpfs, for which one must be root (it is left out otherwise)
Time: 18 minutes for damage, kill and term of three systems side by side, on two cores with a load of 10 to 20
"""

import argparse
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from peer_systems import EVERY, STEPS, SYSTEMS, Finished, System, stop_at, train, train_all

BITS = "a bit flipped anywhere"
DAMAGES = FLIP, TRUNCATE, EMPTY, REMOVE = "a bit of each file", "each file truncated", "each emptied", "each removed"


def _moment(rng: np.random.Generator) -> tuple[int, float]:
    """A step whose checkpoint is waited for, and the seconds after it: long enough to reach into the next save."""
    return int(rng.integers(1, STEPS - 5)), float(rng.uniform(0, 0.3))


def kill(system: System, folder: Path, count: int) -> dict[str, str]:
    """SIGKILL at moments drawn over the run; then the same command again."""
    whole = system.reference(folder)
    rng, killed = np.random.default_rng(0), []
    while len(killed) < count:
        out = folder / f"kill-{len(killed)}"
        shutil.rmtree(out, ignore_errors=True)
        if stop_at(system, out, "KILL", *_moment(rng)):  # else it had ended before
            killed.append(out)
    again = train_all(system, killed)
    equal, failed = sum(run.final == whole for run in again), sum(run.code != 0 for run in again)
    return {"SIGKILL, restarted: same final bits": f"{equal} of {count}" + (f" ({failed} errors)" if failed else "")}


def term(system: System, folder: Path, count: int) -> dict[str, str]:
    """SIGTERM to the one process: was the step saved, and what does the exit code say?"""
    whole = system.reference(folder)
    rng, saved, codes, stopped = np.random.default_rng(1), 0, set(), []
    while len(stopped) < count:
        out = folder / f"term-{len(stopped)}"
        shutil.rmtree(out, ignore_errors=True)
        ended = stop_at(system, out, "TERM", *_moment(rng))
        if not ended:
            continue
        stopped.append(out)
        codes.add(ended.code)
        saved += system.steps(out)[-1] % EVERY != 0 or "saved at step" in ended.error
    equal = sum(run.final == whole for run in train_all(system, stopped))
    return {
        "SIGTERM: state saved at the signal": f"{saved} of {count}",
        "SIGTERM: exit code": ", ".join(map(str, sorted(codes))),
        "SIGTERM, restarted: same final bits": f"{equal} of {count}",
    }


def damage(system: System, folder: Path, flips: int) -> dict[str, str]:
    """The newest checkpoint with bits flipped, one a copy, and with each file truncated, emptied, removed."""
    whole = system.reference(folder)
    stopped = folder / "stopped"
    while not stop_at(system, stopped, "KILL", STEPS // 2, 0.0):
        shutil.rmtree(stopped)
    newest = system.steps(stopped)[-1]
    place = system.place(stopped, newest)
    files = sorted(path.relative_to(stopped) for path in place.rglob("*") if path.is_file())
    rng, cases = np.random.default_rng(2), [("", _copy(stopped, folder / "undamaged"))]
    sizes = np.array([(stopped / name).stat().st_size for name in files])
    drawn = [files[i] for i in rng.choice(len(files), flips, p=sizes / sizes.sum())]
    damages = [(BITS, name) for name in drawn] + [(how, name) for how in DAMAGES for name in files]
    for number, (how, name) in enumerate(damages):
        out = _copy(stopped, folder / f"damaged-{number}")
        if _damaged(out / name, how, rng):
            cases.append((how, out))
    (undamaged, *ended), rows = train_all(system, [out for _, out in cases]), {}
    want = undamaged.final
    for how in (BITS, *DAMAGES):
        verdicts = [
            _verdict(end, newest, want) for (given, _), end in zip(cases[1:], ended, strict=True) if given == how
        ]
        rows[f"newest checkpoint, {how}"] = f"of {len(verdicts)}: {_counted(Counter(verdicts))}"
    return {"continued undamaged: same bits as uninterrupted": "yes" if want == whole else "no", **rows}


def _damaged(path: Path, how: str, rng: np.random.Generator) -> bool:
    """Damage a file; False where there is nothing to damage (an empty file has no bit to flip)."""
    content = bytearray(path.read_bytes())
    if how == REMOVE:
        path.unlink()
    elif not content:
        return False
    elif how in (BITS, FLIP):
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        path.write_bytes(content)
    else:
        path.write_bytes(content[: int(rng.integers(len(content)))] if how == TRUNCATE else b"")
    return True


def _verdict(ended: Finished, newest: int, want: str | None) -> str:
    if ended.code != 0:
        return "error, no training"
    if ended.restored != newest:
        told = "damaged" in ended.error
        where = "from step 0" if not ended.restored else "from an older step"
        same = "same bits" if ended.final == want else "other bits"
        return f"went on {where}, {'told' if told else 'not told'}, {same}"
    return "no effect" if ended.final == want else "WRONG WEIGHTS, not told"


def disk(system: System, folder: Path) -> dict[str, str]:
    """A disk with room for two and a half checkpoints; then room is made and the same command runs again."""
    whole = system.reference(folder)
    size = sum(path.stat().st_size for path in system.place(folder / "whole", STEPS).rglob("*") if path.is_file())
    mount = folder / "disk"
    mount.mkdir()
    if not system.mount(mount, int(2.5 * size)):
        return {"full disk": "not tried: mounting a tmpfs is not allowed here"}
    try:
        ended = train(system, mount / "run")
        kept, left = system.steps(mount / "run"), system.leftovers(mount / "run")
        system.mount(mount, 64 * size, again=True)
        again = train(system, mount / "run")
    finally:
        system.unmount(mount)
    told = "; ".join(filter(None, (ended.said("No space left", "RESOURCE_EXHAUSTED"), ended.said("raised at step"))))
    return {
        "full disk: exit code, what is said": f"{ended.code}; {told or 'nothing'}",
        "full disk: steps kept, leftovers": f"{kept}, {left or 'none'}",
        "room made, restarted": f"from step {again.restored}, "
        + (f"error {again.code}" if again.code else "same final bits" if again.final == whole else "other bits"),
    }


def spoil(system: System, folder: Path) -> dict[str, str]:
    """A learning rate of 1e38: the numbers overflow. Does a checkpoint hold one that is not finite?"""
    out = folder / "spoilt"
    ended = train(system, out, rate="1e38")
    steps = system.steps(out)
    bad = [step for step in steps if not system.finite(out, step)]
    told = ended.said("finite") or "nothing"
    return {
        "NaN: checkpoints that hold one": f"{len(bad)} of {len(steps)}",
        "NaN: exit code, what is said": f"{ended.code}; {told}",
    }


def _copy(stopped: Path, out: Path) -> Path:
    shutil.copytree(stopped, out)
    return out


def _counted(row: Counter[str]) -> str:
    return "; ".join(f"{count} {verdict}" for verdict, count in row.most_common())


def main() -> None:
    """Run the faults and print one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), metavar="SYSTEM")
    parser.add_argument("--faults", nargs="+", choices=FAULTS, default=list(FAULTS), metavar="FAULT")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--terms", type=int, default=5)
    parser.add_argument(
        "--flips", type=int, default=20, help="bits flipped anywhere in the newest checkpoint, one a copy"
    )
    given = parser.parse_args()
    rows: dict[str, dict[str, str]] = {}
    for name in given.against:
        with tempfile.TemporaryDirectory(prefix=f"faults-{name}-") as folder:
            for fault in given.faults:
                extra = {"kill": (given.kills,), "term": (given.terms,), "damage": (given.flips,)}.get(fault, ())
                for row, outcome in FAULTS[fault](SYSTEMS[name], Path(folder), *extra).items():
                    rows.setdefault(row, {})[name] = outcome
                    print(f"{name}: {row}: {outcome}", flush=True)
    print("\n| fault | " + " | ".join(given.against) + " |\n|---" + "|---" * len(given.against) + "|")
    for row, outcomes in rows.items():
        print(f"| {row} | " + " | ".join(outcomes.get(name, "") for name in given.against) + " |")


FAULTS = {"kill": kill, "term": term, "damage": damage, "disk": disk, "spoil": spoil}

if __name__ == "__main__":
    main()
