"""Tables for a person: as wide as the terminal, or as wide as they are where the output goes elsewhere."""

from typing import Any

from rich.console import Console


def show(*renderables: Any) -> None:
    """Print rich tables and lines."""
    console = Console()
    if not console.is_terminal:
        console = Console(
            width=max(console.measure(r, options=console.options.update(width=1000)).maximum for r in renderables)
        )
    for renderable in renderables:
        console.print(renderable, highlight=False)
