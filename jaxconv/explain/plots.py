"""Figures of what convolutional networks do: pixels, windows on a grid, kernels and maps, curves, mistakes.

Functions that take `axes` draw there and leave titles to the caller; the others return a new figure. matplotlib is
imported when the first one is called. `matplotlib.pyplot.rcParams.update(STYLE)` gives all figures one look.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, Real

from jaxconv.functional import window as arithmetic
from jaxconv.functional.settings import Padding

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.colors
    import matplotlib.figure

INK, BLUE, RED, GREY, PALE = "#1b2a41", "#2a6f97", "#d1495b", "#8d99a6", "#e9edf1"

STYLE: Mapping[str, Any] = MappingProxyType(
    {
        "figure.constrained_layout.use": True,
        "figure.dpi": 110,
        "font.size": 10,
        "text.color": INK,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.titlecolor": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": GREY,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "xtick.color": INK,
        "ytick.color": INK,
    }
)
"""Settings of matplotlib: titles at the left, no frames, one dark ink."""


def pixels(
    axes: "matplotlib.axes.Axes",
    values: Real[np.ndarray, "h w"],
    *,
    signed: bool = False,
    numbers: bool = False,
    limit: float | None = None,
) -> None:
    """Draws an array as a picture: white is zero, dark is large; signed ones are blue below zero and red above.

    Args:
        axes: where.
        values: (h, w); not negative unless `signed`.
        signed: whether negative values have a colour of their own.
        numbers: whether to separate the pixels and write each value into its own.
        limit: the absolute value of full colour; the largest there is by default.
    """
    largest = float(np.abs(values).max()) if limit is None else limit
    full = largest if largest > 0 else 1.0
    axes.imshow(values, cmap=_colours(signed), vmin=-full if signed else 0, vmax=full, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=True, color=GREY, linewidth=0.6)
    if numbers:
        _write(axes, values, np.abs(values) > 0.55 * full)


def _colours(signed: bool) -> "matplotlib.colors.Colormap":
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("jaxconv", [BLUE, "white", RED] if signed else ["white", INK])


def _write(axes: "matplotlib.axes.Axes", values: np.ndarray, dark: np.ndarray) -> None:
    """Each value into its pixel, white on dark ones, with white lines between the pixels."""
    height, width = values.shape
    axes.hlines(np.arange(1, height) - 0.5, -0.5, width - 0.5, color=PALE, linewidth=0.6)
    axes.vlines(np.arange(1, width) - 0.5, -0.5, height - 0.5, color=PALE, linewidth=0.6)
    for (row, column), value in np.ndenumerate(values):
        colour = "white" if dark[row, column] else INK
        number = value + 0  # writes -0.0 as 0
        text = f"{number:.0f}" if number == round(number) else f"{number:.2f}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize="small")


def frame(axes: "matplotlib.axes.Axes", column: int, row: int, size: int, *, colour: str = RED) -> None:
    """Outlines a square of pixels in a picture.

    Args:
        axes: where.
        column: of the leftmost pixel.
        row: of the topmost pixel.
        size: pixels of a side.
        colour: of the line.
    """
    from matplotlib.patches import Rectangle

    corner = (column - 0.5, row - 0.5)
    axes.add_patch(Rectangle(corner, size, size, fill=False, edgecolor=colour, linewidth=2.5, zorder=3))


def montage(
    images: Real[np.ndarray, "n h w"],
    *,
    titles: Sequence[str] = (),
    columns: int | None = None,
    signed: bool = False,
    inches: float = 1.1,
) -> "matplotlib.figure.Figure":
    """A new figure with the images beside each other, all on one scale of brightness.

    Args:
        images: (n, h, w), such as a batch, the kernels of a layer or the channels of a map.
        titles: one an image, or none.
        columns: images in a row; all by default.
        signed: as in `pixels`.
        inches: width of one image.

    Raises:
        ValueError: there is no image, or another number of titles than of images.
    """
    import matplotlib.pyplot as plt

    if not len(images) or len(titles) not in (0, len(images)):
        raise ValueError(f"montage needs images, and one title each or none; got {len(images)} and {len(titles)}.")
    columns = min(columns or len(images), len(images))
    rows = -(-len(images) // columns)
    height = inches * images.shape[1] / images.shape[2] + (0.25 if titles else 0.05)
    figure, grid = plt.subplots(rows, columns, figsize=(inches * columns, height * rows), squeeze=False)
    limit = float(np.abs(images).max())
    for axes, image in zip(grid.flat, images, strict=False):
        pixels(axes, image, signed=signed, limit=limit)
    for axes, title in zip(grid.flat, titles, strict=False):
        axes.set_title(title, fontsize="medium")
    for axes in grid.flat[len(images) :]:
        axes.axis("off")
    return figure


def places(axes: "matplotlib.axes.Axes", size: int, window: int, *, strides: int, padding: Padding) -> None:
    """Where a square window stands on a square image: a dot at the middle of each place, the first one outlined.

    White squares are the zeros of the padding. Hatched pixels are seen by no place.

    Args:
        axes: where.
        size: pixels of a side of the image.
        window: pixels of a side of the window.
        strides: pixels from one place to the next.
        padding: as for `functional.conv`.

    Raises:
        ValueError: a bad setting, or the window has no place.
    """
    from matplotlib.patches import Rectangle

    ((low, high),) = arithmetic.padding_pairs((size,), (window,), strides=strides, padding=padding)
    count = arithmetic.output_size(size, window, stride=strides, padding=padding)
    seen = (count - 1) * strides + window - low
    for row, column in np.ndindex(low + size + high, low + size + high):
        y, x = row - low, column - low
        inside = 0 <= y < size and 0 <= x < size
        missed = inside and (y >= seen or x >= seen)
        colour, hatch = (PALE if inside else "white"), ("////" if missed else None)
        square = Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor=GREY, linewidth=0.5, hatch=hatch)
        axes.add_patch(square)
    middles = np.arange(count) * strides - low + (window - 1) / 2
    axes.scatter(*np.meshgrid(middles, middles), s=14, color=INK, zorder=3)
    frame(axes, strides - low, -low, window, colour=BLUE)
    frame(axes, -low, -low, window)
    axes.set(xlim=(-low - 0.7, size + high - 0.3), ylim=(size + high - 0.3, -low - 0.7), aspect="equal")
    axes.axis("off")


def learning_curves(rows: Iterable[Mapping[str, Any]], steps_per_epoch: float | int) -> "matplotlib.figure.Figure":
    """A new figure of loss and error over a run.

    Args:
        rows: the objects of a run's `metrics.jsonl`: step, split ("train" or "eval"), loss, accuracy.
        steps_per_epoch: steps that make one pass over the training images.
    """
    import matplotlib.pyplot as plt

    rows = list(rows)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3))
    looks = {
        "train": {"label": "training images", "color": GREY, "linewidth": 1},
        "eval": {"label": "test images", "color": RED, "marker": "o", "markersize": 4},
    }
    for split, look in looks.items():
        points = [row for row in rows if row["split"] == split]
        epochs = [row["step"] / steps_per_epoch for row in points]
        left.plot(epochs, [row["loss"] for row in points], **look)
        right.plot(epochs, [100 * (1 - row["accuracy"]) for row in points], **look)
    left.set(title="Loss", xlabel="epoch", yscale="log")
    left.yaxis.set_major_formatter("{x:g}")
    right.set(title="Wrong answers, %", xlabel="epoch", ylim=(0, None))
    right.legend(frameon=False)
    return figure


def confusion(axes: "matplotlib.axes.Axes", counts: Int[np.ndarray, "k k"], classes: Sequence[str]) -> None:
    """Draws a confusion matrix: what is right pale on the diagonal, what is wrong red beside it.

    Args:
        axes: where.
        counts: how often class i (row) was read as class j (column).
        classes: the name of each class.

    Raises:
        ValueError: another number of classes than of rows.
    """
    if len(classes) != len(counts):
        raise ValueError(f"confusion needs one name a row; got {len(classes)} names for {len(counts)} rows.")
    wrong = counts * (1 - np.eye(len(counts), dtype=int))
    pixels(axes, wrong, signed=True, limit=max(float(wrong.max()), 1.0))
    for row, column in zip(*np.nonzero(counts)):
        dark = wrong[row, column] > wrong.max() / 2
        colour = GREY if row == column else ("white" if dark else INK)
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", color=colour)
    axes.set(xlabel="read as", ylabel="is")
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)


def predictions(
    images: Real[np.ndarray, "n h w"],
    probabilities: Float[np.ndarray, "n k"],
    labels: Int[np.ndarray, " n"],
    classes: Sequence[str],
    *,
    columns: int = 4,
) -> "matplotlib.figure.Figure":
    """A new figure: each image under its true class, beside the three most probable ones, the true one in blue.

    Args:
        images: (n, h, w).
        probabilities: (n, k), each row sums to one.
        labels: (n,), the true classes.
        classes: the name of each class.
        columns: images in a row.

    Raises:
        ValueError: there is no image.
    """
    import matplotlib.pyplot as plt

    if not len(images):
        raise ValueError(f"predictions needs images; got shape {images.shape}.")
    rows = -(-len(images) // columns)
    figure, grid = plt.subplots(rows, 2 * columns, figsize=(2.4 * columns, 1.5 * rows), squeeze=False)
    for number, (image, probability, label) in enumerate(zip(images, probabilities, labels)):
        picture, bars = grid.flat[2 * number : 2 * number + 2]
        pixels(picture, image)
        guess = int(probability.argmax())
        wrong = guess != label
        title = f"{classes[label]}, read as {classes[guess]}" if wrong else classes[label]
        picture.set_title(title, fontsize="medium", color=RED if wrong else INK)
        _bars(bars, probability, int(label), classes)
    for axes in grid.flat[2 * len(images) :]:
        axes.axis("off")
    return figure


def _bars(axes: "matplotlib.axes.Axes", probability: np.ndarray, label: int, classes: Sequence[str]) -> None:
    top = [int(index) for index in np.argsort(-probability)[:3]]
    axes.barh(range(len(top)), probability[top], height=0.7, color=[BLUE if i == label else RED for i in top])
    for position, index in enumerate(top):
        share = float(probability[index])
        axes.text(share + 0.04, position, f"{share:.0%}", va="center", fontsize="small")
    axes.set(xlim=(0, 1.45), ylim=(2.8, -0.8), xticks=[])
    axes.set_yticks(range(len(top)), [classes[i] for i in top])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
