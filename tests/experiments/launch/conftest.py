"""Stubs in the place of the commands of Slurm, Google Cloud and jaxconv."""

import os
from pathlib import Path

import pytest


@pytest.fixture
def bench(tmp_path):
    """A folder of stubs that come first on PATH, and the calls that they were given."""
    return Bench(tmp_path)


class Bench:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def stub(self, name: str, body: str) -> None:
        path = self.folder / name
        path.write_text(
            f'#!/bin/bash\nprintf "%s|" {name} "$@" >> {self.folder}/calls; echo >> {self.folder}/calls\n{body}\n'
        )
        path.chmod(0o755)

    def answers(self, name: str, lines: list[str]) -> str:
        """The start of a stub that takes one line of a list at each call, and ends at a call too many."""
        (self.folder / f"{name}.lines").write_text("".join(f"{line}\n" for line in lines))
        file = f"{self.folder}/{name}.lines"
        return f'line=$(head -n 1 {file}); sed -i 1d {file}\n[ -n "$line" ] || exit 99'

    def environment(self, **more: str) -> dict[str, str]:
        return {"PATH": f"{self.folder}:{os.environ['PATH']}", "TMPDIR": str(self.folder), **more}

    def calls(self, start: str = "") -> list[list[str]]:
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split("|")[:-1] for line in lines if line.startswith(start)]
