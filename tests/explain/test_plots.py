"""Figures are checked by what stands in them: pictures, numbers, squares, lines."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgba
from matplotlib.patches import Rectangle

from jaxconv.explain import plots


@pytest.fixture
def axes():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def texts(axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_style_is_known_to_matplotlib():
    with plt.rc_context(dict(plots.STYLE)):
        assert plt.rcParams["axes.titlelocation"] == "left"


def test_pixels_draw_the_array_from_zero_to_the_largest(axes, rng):
    values = rng.random((4, 6)) + 1
    plots.pixels(axes, values)
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array(), values)
    assert image.get_clim() == (0, values.max())
    assert not axes.texts


def test_signed_pixels_are_white_at_zero(axes):
    plots.pixels(axes, np.array([[-2.0, 0.0, 1.0]]), signed=True)
    blue, white, red = axes.images[0].to_rgba(axes.images[0].get_array())[0]
    np.testing.assert_allclose(white, 1, atol=0.01)
    assert blue[2] > blue[0] and red[0] > red[2]


def test_pixels_of_zeros_can_be_drawn(axes):
    plots.pixels(axes, np.zeros((2, 2)), limit=0.0)
    assert axes.images[0].get_clim() == (0, 1)


def test_pixels_write_whole_numbers_short_and_no_negative_zero(axes):
    plots.pixels(axes, np.array([[3.0, -0.0], [1 / 9, -12.5]]), signed=True, numbers=True)
    assert texts(axes) == ["3", "0", "0.11", "-12.50"]


def test_numbers_are_white_on_dark_pixels_only(axes):
    plots.pixels(axes, np.array([[0.0, 10.0]]), numbers=True)
    assert [text.get_color() for text in axes.texts] == [plots.INK, "white"]


def test_frame_surrounds_whole_pixels(axes):
    plots.frame(axes, column=2, row=1, size=3)
    (square,) = axes.patches
    assert square.get_bbox().bounds == (1.5, 0.5, 3, 3)


def test_montage_puts_every_image_on_one_scale(rng):
    images = rng.normal(size=(5, 3, 4))
    figure = plots.montage(images, titles=list("abcde"), columns=2, signed=True)
    shown = [axes for axes in figure.axes if axes.images]
    assert len(figure.axes) == 6 and len(shown) == 5 and not figure.axes[5].axison
    for axes, image, title in zip(shown, images, "abcde"):
        np.testing.assert_array_equal(axes.images[0].get_array(), image)
        assert axes.images[0].get_clim() == (-np.abs(images).max(), np.abs(images).max())
        assert axes.get_title(loc="left") + axes.get_title() == title


def test_montage_refuses_no_images_and_missing_titles(rng):
    with pytest.raises(ValueError, match="one title each or none; got 0 and 0"):
        plots.montage(np.zeros((0, 3, 3)))
    with pytest.raises(ValueError, match="got 2 and 1"):
        plots.montage(rng.random((2, 3, 3)), titles=["one"])


@pytest.mark.parametrize(
    ("padding", "strides", "count", "first", "drawn", "missed"),
    [
        ("VALID", 1, 6, 1.0, 64, 0),
        ("VALID", 2, 3, 1.0, 64, 15),
        ("SAME", 2, 4, 1.0, 81, 0),
        (1, 2, 4, 0.0, 100, 0),
        (1, 3, 3, 0.0, 100, 0),
    ],
)
def test_places_are_those_of_the_window(axes, padding, strides, count, first, drawn, missed):
    plots.places(axes, 8, 3, strides=strides, padding=padding)
    dots = axes.collections[0].get_offsets()
    assert len(dots) == count**2
    assert dots.min() == first and dots.max() == first + (count - 1) * strides
    squares = [patch for patch in axes.patches if patch.get_width() == 1]
    assert len(squares) == drawn
    assert sum(square.get_hatch() is not None for square in squares) == missed
    paper = sum(square.get_facecolor() == to_rgba("white") for square in squares)
    assert paper == drawn - 64
    outlined = [patch.get_x() for patch in axes.patches if isinstance(patch, Rectangle) and patch.get_width() == 3]
    assert outlined == [first - 1.5 + strides, first - 1.5]


def test_places_need_room_for_the_window(axes):
    with pytest.raises(ValueError, match="An output would be empty"):
        plots.places(axes, 2, 3, strides=1, padding="VALID")


def test_learning_curves_are_in_epochs_and_percent():
    rows = [
        {"step": 5, "split": "train", "loss": 2.0, "accuracy": 0.5},
        {"step": 10, "split": "train", "loss": 1.0, "accuracy": 0.75},
        {"step": 10, "split": "eval", "loss": 1.5, "accuracy": 0.9},
    ]
    loss, wrong = plots.learning_curves(iter(rows), steps_per_epoch=10).axes
    assert [line.get_xydata().tolist() for line in loss.lines] == [[[0.5, 2.0], [1.0, 1.0]], [[1.0, 1.5]]]
    np.testing.assert_allclose(wrong.lines[0].get_ydata(), [50, 25])
    np.testing.assert_allclose(wrong.lines[1].get_ydata(), [10])
    assert loss.get_yscale() == "log"


def test_confusion_colours_mistakes_alone(axes):
    counts = np.array([[9, 2], [1, 7]])
    plots.confusion(axes, counts, ["cat", "dog"])
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0, 2], [1, 0]])
    assert texts(axes) == ["9", "2", "1", "7"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog"]
    with pytest.raises(ValueError, match="got 1 names for 2 rows"):
        plots.confusion(axes, counts, ["cat"])


def test_confusion_without_mistakes_can_be_drawn(axes):
    plots.confusion(axes, np.diag([3, 4]), ["0", "1"])
    assert texts(axes) == ["3", "4"]


def test_predictions_order_the_classes_and_mark_the_true_one():
    probabilities = np.array([[0.1, 0.2, 0.65, 0.05], [0.7, 0.1, 0.15, 0.05]])
    figure = plots.predictions(np.ones((2, 3, 3)), probabilities, np.array([1, 0]), ["a", "b", "c", "d"], columns=1)
    wrong, bars, right, _ = figure.axes
    assert wrong.title.get_text() + wrong.get_title(loc="left") == "b, read as c"
    assert right.title.get_text() + right.get_title(loc="left") == "a"
    np.testing.assert_allclose([bar.get_width() for bar in bars.patches], [0.65, 0.2, 0.1])
    assert [label.get_text() for label in bars.get_yticklabels()] == ["c", "b", "a"]
    assert [bar.get_facecolor() == to_rgba(plots.BLUE) for bar in bars.patches] == [False, True, False]
    with pytest.raises(ValueError, match=r"needs images; got shape \(0, 3, 3\)"):
        plots.predictions(np.ones((0, 3, 3)), probabilities[:0], np.array([], int), ["a"])
