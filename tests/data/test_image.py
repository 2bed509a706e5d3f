import errno
import io
import os
import resource
from pathlib import Path

import numpy as np
import pytest
from data import damaged
from PIL import Image

from jaxconv.data.image import ImageError, image_header, list_images, open_image, read_image, resize_images


@pytest.fixture
def colours(rng):
    return rng.integers(0, 256, (9, 12, 3), np.uint8)


@pytest.mark.parametrize("ending", ["png", "bmp", "ppm", "tiff", "webp"])
def test_lossless_formats_give_their_pixels(tmp_path, colours, ending):
    path = tmp_path / f"image.{ending}"
    Image.fromarray(colours).save(path, **({"lossless": True} if ending == "webp" else {}))
    np.testing.assert_array_equal(read_image(path, channels=3), colours)


def test_a_jpeg_is_read(tmp_path):
    smooth = np.add.outer(np.arange(32), np.arange(48)).astype(np.uint8) * 2
    Image.fromarray(smooth).save(tmp_path / "a.JPG", "jpeg", quality=95)
    got = read_image(tmp_path / "a.JPG", channels=3)
    assert got.shape == (32, 48, 3)
    assert np.abs(got.astype(int) - smooth[..., None]).max() <= 4


def test_gray_is_the_luma_of_the_colours(tmp_path, colours):
    Image.fromarray(colours).save(tmp_path / "a.png")
    luma = colours @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(read_image(tmp_path / "a.png", channels=1)[..., 0], luma, atol=0.51)


def test_a_gray_image_has_three_equal_channels(tmp_path, colours):
    Image.fromarray(colours[..., 0]).save(tmp_path / "a.png")
    got = read_image(tmp_path / "a.png", channels=3)
    np.testing.assert_array_equal(got, np.repeat(colours[..., :1], 3, axis=-1))


def test_sixteen_bits_become_the_nearest_eight(tmp_path):
    values = np.array([0, 128, 129, 257, 30000, 65279, 65535, 1000] * 4, np.uint16).reshape(4, 8)
    Image.fromarray(values).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", channels=1)[..., 0], np.rint(values / 257))


def test_palettes_are_resolved(tmp_path, colours):
    image = Image.fromarray(colours).quantize(200)
    image.save(tmp_path / "a.gif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.gif", channels=3), np.asarray(image.convert("RGB")))


def test_bilevel_images_are_black_and_white(tmp_path):
    Image.fromarray(np.eye(8, dtype=bool)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", channels=1)[..., 0], np.eye(8) * 255)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_shows_white(tmp_path, mode):
    path = tmp_path / "a.png"
    if mode == "P":
        image = Image.new("P", (5, 5), 1)
        image.putpalette([10, 10, 10, 20, 20, 20])
        image.save(path, transparency=1)
        expected = 255
    else:
        Image.new(mode, (5, 5), {"RGBA": (100, 100, 100, 51), "LA": (100, 51)}[mode]).save(path)
        expected = 0.2 * 100 + 0.8 * 255
    np.testing.assert_allclose(read_image(path, channels=1), expected, atol=1)


def test_photographs_are_turned_upright(tmp_path, colours):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the first row is the right-hand side
    Image.fromarray(colours).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", channels=3), np.rot90(colours, -1))


@pytest.mark.parametrize("orientation", [0, 9])
def test_an_orientation_that_there_is_not_turns_nothing(tmp_path, colours, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(colours).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", channels=3), colours)
    assert image_header(tmp_path / "a.png") == colours.shape


@pytest.mark.parametrize(("shape", "dtype"), [((9, 12), "u1"), ((9, 12, 1), "f4"), ((9, 12, 3), "f8")])
def test_numpy_files(tmp_path, rng, shape, dtype):
    values = rng.integers(0, 256, shape, np.uint8)
    np.save(tmp_path / "a.npy", values if dtype == "u1" else (values / 255).astype(dtype))
    got = read_image(tmp_path / "a.npy", channels=3 if shape[-1] == 3 else 1)
    np.testing.assert_array_equal(got, values.reshape(9, 12, -1))


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [((9, 12), slice(0, 9), slice(0, 12)), ((9, 6), slice(0, 9), slice(3, 9)), ((5, 12), slice(2, 7), slice(0, 12))],
)
def test_the_centre_is_cut_out(tmp_path, colours, size, rows, columns):
    Image.fromarray(colours).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", channels=3, size=size), colours[rows, columns])


@pytest.mark.parametrize("size", [(16, 16), (10, 40), (64, 30), (7, 7)])
def test_resizing_keeps_proportions_and_antialiases(tmp_path, size):
    # A ramp to the right in one channel and down in another: its slope tells the scale, its middle the crop.
    h, w = 48, 64
    ramp = np.zeros((h, w, 3), np.uint8)
    ramp[..., 0], ramp[..., 1] = 2 * np.arange(w), 2 * np.arange(h)[:, None]
    ramp[::2, ::2, 2] = 255  # a quarter of the pixels: without antialiasing some would stay 0 or 255
    Image.fromarray(ramp).save(tmp_path / "a.png")
    got = read_image(tmp_path / "a.png", channels=3, size=size).astype(float)
    assert got.shape == (*size, 3)
    scale = max(size[0] / h, size[1] / w)  # cropping rounds to half a pixel of the result
    inner = got[size[0] // 4 : -size[0] // 4, size[1] // 4 : -size[1] // 4]
    np.testing.assert_allclose(inner[..., 0].mean(), w - 1, atol=1 + 1 / scale)
    np.testing.assert_allclose(inner[..., 1].mean(), h - 1, atol=1 + 1 / scale)
    np.testing.assert_allclose(np.diff(inner[..., 0], axis=1).mean(), 2 / scale, rtol=0.1)
    np.testing.assert_allclose(np.diff(inner[..., 1], axis=0).mean(), 2 / scale, rtol=0.1)
    if scale < 0.5:
        np.testing.assert_allclose(inner[..., 2], 255 / 4, atol=12)


def test_resize_images_resizes_each(rng):
    images = rng.integers(0, 256, (3, 8, 8, 1), np.uint8)
    got = resize_images(images, 32)
    assert got.shape == (3, 32, 32, 1) and got.dtype == np.uint8
    expected = np.asarray(Image.fromarray(images[1, ..., 0]).resize((32, 32), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(got[1, ..., 0], expected)
    assert resize_images(rng.integers(0, 256, (2, 8, 10, 3), np.uint8), 4).shape == (2, 4, 4, 3)


def encoded(array, **options):
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "png", **options)
    return buffer.getvalue()


NOISE = np.random.default_rng(1).integers(0, 256, (40, 40, 3), np.uint8)


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "is not empty; this one has 0 bytes"),
        (b"plainly a text", "not a readable image"),
        (encoded(NOISE)[:2000], "not a readable image"),
        (encoded(NOISE).replace(b"IDAT", b"IDAX", 1), "not a readable image"),
        (encoded(np.zeros((3, 9), np.uint8)), "both sides have at least 4 pixels; this image is 3x9"),
        (encoded(np.zeros((33, 4), np.uint8)), "at most 8 times the shorter; this image is 33x4"),
    ],
    ids=["empty", "text", "truncated", "corrupt", "small", "narrow"],
)
def test_what_is_no_image_is_named(tmp_path, content, rule):
    path = tmp_path / "thing.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=f"thing.png: .*{rule}"):
        read_image(path, channels=3)


def test_every_truncation_is_noticed(tmp_path):
    path, whole = tmp_path / "cut.jpg", io.BytesIO()
    Image.fromarray(NOISE).save(whole, "jpeg")
    for length in range(1, len(whole.getvalue()) - 2, 97):
        path.write_bytes(whole.getvalue()[:length])
        with pytest.raises(ImageError, match=r"cut.jpg: not a readable image"):
            read_image(path, channels=3)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        (np.zeros(9, np.uint8), r"shape \(h, w\), \(h, w, 1\) or \(h, w, 3\); got \(9,\)"),
        (np.zeros((9, 9, 4), np.uint8), r"got \(9, 9, 4\)"),
        (np.zeros((9, 9, 3, 1), np.uint8), r"got \(9, 9, 3, 1\)"),
        (np.zeros((9, 9), np.int32), "uint8 from 0 to 255 or floats from 0 to 1; got int32"),
        (np.full((9, 9), 255.0), r"lie in \[0, 1\]; got values from 255"),
        (np.zeros((3, 9), np.uint8), "at least 4 pixels; this image is 3x9"),
        (np.array([{}]), "not a readable .npy array"),
    ],
)
def test_numpy_files_that_hold_no_image_are_named(tmp_path, values, rule):
    np.save(tmp_path / "thing.npy", values)
    with pytest.raises(ImageError, match=f"thing.npy: .*{rule}"):
        read_image(tmp_path / "thing.npy", channels=1)


def test_a_file_that_only_pretends_to_be_npy_is_named(tmp_path):
    for content in (b"", b"not numpy"):
        (tmp_path / "thing.npy").write_bytes(content)
        with pytest.raises(ImageError, match=r"thing.npy: not a readable .npy array"):
            read_image(tmp_path / "thing.npy", channels=1)


def test_float_images_have_no_known_range(tmp_path):
    Image.fromarray(np.zeros((9, 9), np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(ImageError, match=r"a.tiff: pixels are integers; this image has floats"):
        read_image(tmp_path / "a.tiff", channels=1)


def test_integers_beyond_sixteen_bits_are_refused(tmp_path):
    Image.fromarray(np.full((9, 9), 70000, np.int32)).save(tmp_path / "a.tiff")
    with pytest.raises(ImageError, match=r"a.tiff: integer pixels lie between 0 and 65535; .* 70000"):
        read_image(tmp_path / "a.tiff", channels=1)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ImageError, match=r"nowhere.png: not a readable image .*No such file"):
        read_image(tmp_path / "nowhere.png", channels=3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"channels": 2}, "channels is 1 or 3; got"), ({"channels": 3, "size": (0, 4)}, "size is positive; got")],
)
def test_arguments_out_of_range_are_refused(tmp_path, wrong, message):
    with pytest.raises(ValueError, match=message):
        read_image(tmp_path / "a.png", **wrong)


def test_list_images_finds_every_image_below(tmp_path):
    for name in ["b.png", "a/c.JPEG", "a/z/d.npy", "notes.txt", ".hidden.png", ".cache/e.png"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = [path.relative_to(tmp_path).as_posix() for path in list_images(tmp_path)]
    assert found == ["a/c.JPEG", "a/z/d.npy", "b.png"]


def test_a_folder_that_cannot_be_listed_is_not_passed_over(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    for name in ("b.png", "a/c.png"):
        (tmp_path / name).touch()
    listed = os.scandir

    def scandir(place):
        if os.path.basename(place) == "a":
            raise PermissionError(errno.EACCES, "Permission denied", str(place))
        return listed(place)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(PermissionError, match=str(tmp_path / "a")):
        list_images(tmp_path)


def test_a_file_in_a_place_without_rights_is_named(tmp_path, monkeypatch):
    def stat(self, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    (tmp_path / "a.png").write_text("no image")
    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(ImageError, match=r"a.png: not a readable image"):
        read_image(tmp_path / "a.png", channels=3)


def test_list_images_refuses_a_folder_without_images(tmp_path):
    with pytest.raises(ValueError, match=r"holds no image; looked for names in .*\.png"):
        list_images(tmp_path)
    with pytest.raises(ValueError, match=r"nowhere is not a folder"):
        list_images(tmp_path / "nowhere")


def test_no_flipped_bit_of_a_png_goes_unseen(rng):
    """Pillow passes over the checksums: without them some of these would be taken for other pixels."""
    smooth = np.add.outer(np.arange(40), np.arange(50))[..., None] * 2 + rng.integers(0, 20, (40, 50, 3))
    png = damaged.encoded(Image.fromarray(smooth.astype(np.uint8)), "png")
    start = png.index(b"IDAT") + 4
    stop = start + int.from_bytes(png[start - 8 : start - 4])
    for position in rng.integers(start, stop, 200):
        data = bytearray(png)
        data[position] ^= 1 << rng.integers(8)
        with (
            pytest.raises(ImageError, match="the name: not a readable image"),
            open_image(bytes(data), "the name") as i,
        ):
            i.load()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.mkdir()])
def test_what_is_no_file_is_not_waited_for(tmp_path, make):
    make(tmp_path / "a.jpg")
    with pytest.raises(ImageError, match=r"a.jpg: an image is a file; this is none"):
        read_image(tmp_path / "a.jpg", channels=3)


@pytest.mark.parametrize("ending", ["png", "npy"])
def test_a_fault_of_the_machine_is_no_fault_of_the_image(tmp_path, colours, ending):
    """With no descriptor left every image would look bad, and a run would go on with other ones than before."""
    path = tmp_path / f"a.{ending}"
    np.save(path, colours) if ending == "npy" else Image.fromarray(colours).save(path)
    read_image(path, channels=3)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            read_image(path, channels=3)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
