"""Tables for a person: as wide as the terminal, or as wide as they are where the output goes elsewhere.

Names of files, folders and classes are shown as they are: rich would take `[copy]` for a style, `:key:` for a picture.
"""

from typing import Any

from rich.console import Console


def show(*renderables: Any) -> None:
    """Print rich tables and lines."""
    console = Console(markup=False, emoji=False)
    if not console.is_terminal:
        wide = console.options.update(width=1000)
        width = max(console.measure(renderable, options=wide).maximum for renderable in renderables)
        console = Console(markup=False, emoji=False, width=width)
    for renderable in renderables:
        console.print(renderable, highlight=False)
