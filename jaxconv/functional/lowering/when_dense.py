"""Conditions on dense convolutions, in one group, whose window has several elements."""

import math

from jaxconv.functional.lowering.when import Case, unit_strides, whole, whole_few_taps


def window_beyond_output(case: Case) -> bool:
    """A window of more elements than it has positions, at every position."""
    # XLA exchanges map and kernel then, and has no fast convolution for what that gives.
    return whole_few_taps(case) and unit_strides(case) and case.taps > case.positions


def window_beyond_input(case: Case) -> bool:
    """A window of at least as many elements as the input has, at every position."""
    return whole_few_taps(case) and unit_strides(case) and case.taps >= math.prod(case.space) > 1


def window_beyond_input_narrowing(case: Case) -> bool:
    """The same, with fewer features than channels."""
    return window_beyond_input(case) and case.features < case.channels


def shrinking(case: Case) -> bool:
    """Fewer positions of the window than of the input, and the fewer the features the more so."""
    # The flipped form computes every position of the input, this one only those of the output.
    size = math.prod(case.space)
    spared = case.features * (size - case.positions) >= 16 * case.positions
    return whole_few_taps(case) and unit_strides(case) and spared and 10 * size >= 13 * case.positions


def few_channels(case: Case) -> bool:
    """Up to eight channels, at least as many features, several rows and columns, and many features or small maps."""
    few = case.channels <= min(8, case.features)
    worth = case.positions <= 200 or case.features > 64 or (case.features <= 16 and case.channels < 8)
    # XLA's form of 3x3 on 24 features and more is as fast, where there are positions enough.
    fast = case.taps == 9 and case.features >= 24 and case.images * case.positions > 2048
    return whole_few_taps(case) and unit_strides(case) and _flat(case) and few and worth and not fast


def very_few_features_out(case: Case) -> bool:
    """Two to six features, windows of several rows and columns, and few channels or small maps."""
    few = 2 <= case.features <= 6 and case.channels >= 8 and (case.channels <= 16 or case.positions <= 200)
    return whole_few_taps(case) and unit_strides(case) and _flat(case) and few


def few_features_for_the_window(case: Case) -> bool:
    """Few features for so large a window, at many positions, or very few."""
    # Where every element of the input has few products to add up, writing all of them out takes longer.
    positions = case.images * case.positions
    few = 4 * case.taps >= case.features and positions > 3600
    return whole_few_taps(case) and (few or (case.taps >= 2 * case.features and positions > 128))


def small_windows_within(case: Case) -> bool:
    """Windows of at most nine elements that end within the input, or that do not touch each other."""
    # Then every phase is padded at all its sides, or nothing but zeros: what one sum for each would save is lost again.
    apart = all(w < s for w, s in zip(case.window, case.strides))
    within = any(o * s < size for o, s, size in zip(case.out, case.strides, case.space))
    return whole_few_taps(case) and case.taps <= 9 and (apart or within)


def _flat(case):
    return sum(w > 1 for w in case.window) > 1


def _windowed(case):
    return whole_few_taps(case) and case.taps > 1


def few_positions(case: Case) -> bool:
    """Less work than it is to bring the kernel into the order of a convolution."""
    few = case.images * case.positions <= 64 and case.weights >= 9 * 64 * 64
    return _windowed(case) and few and _worth_gathering(case) and not _bound_by_kernel(case)


def large_kernel(case: Case) -> bool:
    """A kernel that fills a core's second-level cache."""
    # 2.25 MiB; a core of the machine measured has 2 MiB.
    return _windowed(case) and case.weights >= 9 * 256 * 256


def large_kernel_on_small_maps(case: Case) -> bool:
    """A large kernel for few positions of each image, or of one image."""
    few = case.positions <= 64 or case.images * case.positions <= 256
    return large_kernel(case) and few and _worth_gathering(case) and not _bound_by_kernel(case)


def large_unit_kernel(case: Case) -> bool:
    """A large kernel of few taps at every position of maps of middle size, or a very large one."""
    fits = large_kernel(case) and unit_strides(case) and case.taps <= 9 and not _bound_by_kernel(case)
    return fits and (case.positions <= 256 or case.weights >= 9 * 512 * 512)


def input_products(case: Case) -> bool:
    """A window at every position, and a large kernel or few positions."""
    dilated = any(d > 1 for d in case.dilation) and case.images * case.positions <= 2000
    large = large_kernel(case) and (case.positions <= 256 or case.weights >= 9 * 512 * 512 or dilated)
    middle = case.images * case.positions <= 300 and case.weights >= 9 * 128 * 128
    few = case.images * case.positions <= 128 and case.weights >= 9 * 64 * 64
    return _windowed(case) and unit_strides(case) and (large or middle or few) and _worth_writing_out(case)


def _bound_by_kernel(case):
    # So few products for each weight that any form waits for the kernel.
    few = case.taps <= min(9, case.positions) and case.images * case.positions <= 32
    return few and case.weights >= 9 * 128 * 128


def _worth_gathering(case):
    # What is read of a map for one product is written once for each tap: little beside a product of many features.
    narrowing = case.channels >= max(256, 2 * case.features) and case.taps > 4
    return case.features >= 256 or (case.taps <= 9 and not narrowing)


def _worth_writing_out(case):
    return case.positions <= 4 or 3 * case.taps <= 2 * case.features


def small_maps(case: Case) -> bool:
    """Few positions in all, which one product takes."""
    few = case.images * case.positions <= (256 if case.channels >= 128 else 128)
    fits = whole_few_taps(case) and (unit_strides(case) or _side_by_side(case))
    return fits and few and (case.positions <= 64 or case.weights >= 9 * 128 * 128)


def single_channel(case: Case) -> bool:
    """One channel in, so that all taps are no larger than a map of few channels, and some work."""
    few = case.taps <= 9 or (case.taps <= 25 and case.positions <= 1024)
    fits = whole_few_taps(case) and unit_strides(case) and case.channels == 1
    return fits and few and case.images * case.positions <= 2**17 and _some_work(case)


def few_elements_seen(case: Case) -> bool:
    """Two to four channels, and few elements in all that small windows see."""
    few = 2 <= case.channels <= 4 and case.taps <= 9 and _flat(case)
    seen = case.images * case.positions * case.taps * case.channels
    fits = whole_few_taps(case) and unit_strides(case) and (case.images > 1 or case.features <= 32)
    return fits and few and seen <= 450_000


def _side_by_side(case: Case) -> bool:
    """Windows without gaps or overlap, each element of the input in one of them."""
    return whole(case) and case.taps > 1 and case.window == case.strides and set(case.dilation) == {1}


def side_by_side_maps(case: Case) -> bool:
    """Windows side by side, but for those of 2x2 on many channels."""
    return _side_by_side(case) and (case.taps > 4 or case.channels < 96)


def whole_strides(case: Case) -> bool:
    """Strides, and windows that are as long as one or several of them."""
    steps = all(w % s == 0 for w, s in zip(case.window, case.strides)) and set(case.dilation) == {1}
    # The kernel is rearranged, which for few positions is more work than the product.
    little = case.images * case.positions <= 64 and case.features >= 192
    return whole_few_taps(case) and not unit_strides(case) and steps and not _side_by_side(case) and not little


def side_by_side_channels(case: Case) -> bool:
    """Windows side by side, on more than the channels of an image."""
    return _side_by_side(case) and case.channels > 4


def strided_wide(case: Case) -> bool:
    """Strides no longer than the window, many features for that, and few elements that windows see."""
    seen = case.images * case.positions * case.taps * case.channels
    return _strided(case) and _wide(case) and seen <= 1_500_000 and case.taps >= math.prod(case.strides)


def strided_few_positions(case: Case) -> bool:
    """Strides, few features for the window, and few positions in all."""
    return _strided_deep(case) and _few_small(case) and case.positions <= 36


def strided_narrow(case: Case) -> bool:
    """Strides, few features for the window and for the channels, and few images or large ones."""
    narrow = case.features < case.channels and case.features <= 96 and set(case.dilation) == {1}
    return _strided_deep(case) and narrow and (case.images <= 4 or not _small(case))


def strided_maps(case: Case) -> bool:
    """Strides, few features for the window, and not a large output, or more channels than features."""
    little = case.images * case.positions * case.features <= 400_000
    narrow = case.features < case.channels and not _small(case)
    return _strided_deep(case) and not _few_small(case) and (little or narrow)


def few_large_windows(case: Case) -> bool:
    """Windows of 5x5 and more, on not too much."""
    large = unit_strides(case) and case.taps >= 25
    return whole(case) and large and case.images * case.positions <= 12_544


def narrow(case: Case) -> bool:
    """Few channels and few features, for which nothing that is written first pays, and no more than caches hold."""
    few = 8 <= case.channels <= 48 and case.features <= 48
    elements = case.images * case.positions * (case.channels + case.features)
    return whole(case) and unit_strides(case) and few and elements <= 1e6 and (case.taps >= 10 or elements >= 3e5)


def narrow_images(case: Case) -> bool:
    """The channels of an image and few features: not too much for caches, or large windows on many images."""
    elements = case.images * case.positions * (case.channels + case.features)
    small = case.channels <= 3 and case.features <= 32 and case.taps <= 9 and elements <= 2e6
    large = case.channels <= 4 and case.features <= 16 and case.taps >= 25 and case.images >= 32 and elements <= 1e7
    return whole(case) and unit_strides(case) and (small or large)


def few_features(case: Case) -> bool:
    """At most half as many features as channels."""
    return whole(case) and unit_strides(case) and 2 * case.features <= case.channels


def very_few_features(case: Case) -> bool:
    """At most a quarter as many features as channels."""
    return whole(case) and unit_strides(case) and 4 * case.features <= case.channels


def many_features(case: Case) -> bool:
    """At least as many features as the window has elements in all channels, on few positions, and some work."""
    many = case.taps * case.channels <= case.features and case.images * case.positions <= 4000
    return whole_few_taps(case) and unit_strides(case) and many and _some_work(case)


def image_of_few_channels(case: Case) -> bool:
    """One image of up to 64 channels."""
    return whole(case) and unit_strides(case) and case.images == 1 and case.channels <= 64


def _some_work(case):
    # Less of it takes no longer than to prepare a product.
    return case.products >= 1e6


def _strided(case):
    return whole_few_taps(case) and not unit_strides(case) and not _side_by_side(case)


def _strided_deep(case):
    return _strided(case) and not _wide(case)


def _wide(case):
    return case.features >= 8 * case.taps


def _small(case):
    return math.prod(case.space) * case.channels <= 150_000


def _few_small(case):
    return case.images <= 4 and _small(case)
