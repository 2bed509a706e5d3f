"""Pools one dimension after another: of a large window its sides, and not all its elements, make up the program.

The first maximum of a window is the first one in the first of its rows whose own maximum is the largest. So what
chooses among equal maxima goes through the last dimension first.
"""


def pooled(form, x, **settings):
    """A pool `form(x, **settings)` along every dimension."""
    for _, line in _lines(**settings):
        x = form(x, **line)
    return x


def spread(form, dy, *, space, **settings):
    """The transpose of a sum: `form(dy, space=space, **settings)` along every dimension."""
    for axis, line in _lines(**settings):
        wide = list(dy.shape[1:-1])
        wide[axis] = space[axis]
        dy = form(dy, space=tuple(wide), **line)
    return dy


def gathered(maximum, form, t, x, **settings):
    """What `form(t, x, **settings)` takes from `t` where `x` has its maxima, those of a dimension being `maximum`."""
    for _, line in reversed(_lines(**settings)):
        t, x = form(t, x, **line), maximum(x, **line)
    return t


def scattered(maximum, form, dy, x, **settings):
    """The transpose of `gathered` in `t`."""
    lines, seen = _lines(**settings), []
    for _, line in reversed(lines):
        seen.append(x)
        x = maximum(x, **line)
    for _, line in lines:
        dy = form(dy, seen.pop(), **line)
    return dy


def _lines(window, strides, padding, **more):
    """The dimensions along which a window does anything, each with the settings of a window along it alone."""

    def along(axis, values, other):
        return tuple(value if a == axis else other for a, value in enumerate(values))

    return [
        (
            axis,
            dict(
                window=along(axis, window, 1),
                strides=along(axis, strides, 1),
                padding=along(axis, padding, (0, 0)),
                **more,
            ),
        )
        for axis, line in enumerate(zip(window, strides, padding))
        if line != (1, 1, (0, 0))
    ]
