"""The evaluation crop beside timm's: recorded answers of `timm.data.create_transform` on a computed picture."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxconv.data import EvaluationCrop, imagenet_classes, read_crop

RECORDED = np.load(Path(__file__).with_name("crops.npz"))


def picture(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([(x * 7 + y * 3) % 256, (x * y) % 256, (x * x // 9 + y * 5) % 256], -1).astype(np.uint8)


def sides(text: str) -> tuple[int, int]:
    height, width = map(int, text.split("x"))
    return height, width


@pytest.mark.parametrize("case", RECORDED.files)
def test_equals_timm(case, tmp_path):
    shape, mode, interpolation, part, size = case.split()
    Image.fromarray(picture(*sides(shape))).save(tmp_path / "a.png")
    crop = EvaluationCrop(size=sides(size), crop_pct=float(part), crop_mode=mode, interpolation=interpolation)
    np.testing.assert_array_equal(read_crop(tmp_path / "a.png", crop, channels=3), RECORDED[case])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": (0, 4)}, r"size is positive and crop_pct in \(0, 1\]; got \(0, 4\) and 0.875"),
        ({"crop_pct": 1.5}, r"got \(8, 8\) and 1.5"),
        ({"crop_mode": "border"}, "crop_mode is center or squash .* got border and bilinear"),
        ({"interpolation": "nearest"}, "got center and nearest"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        EvaluationCrop(**{"size": (8, 8), **wrong})


def test_the_classes_are_those_of_imagenet():
    names = imagenet_classes()
    assert len(names) == 1000
    assert (names[0], names[1], names[999]) == (
        "tench, Tinca tinca",
        "goldfish, Carassius auratus",
        "toilet tissue, toilet paper, bathroom tissue",
    )
