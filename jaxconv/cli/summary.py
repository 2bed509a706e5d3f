"""`jaxconv summary`."""

import dataclasses
import json
from typing import Annotated

import tyro

from jaxconv.cli.fitting import require_fit
from jaxconv.cli.show import show
from jaxconv.cli.users import about
from jaxconv.explain.summary import summary as summarize
from jaxconv.explain.summary import summary_table
from jaxconv.models import create_model, model_info


def summary(
    model: tyro.conf.Positional[str],
    *,
    size: tuple[int, int] | None = None,
    in_chans: int | None = None,
    num_classes: int | None = None,
    as_json: Annotated[bool, tyro.conf.arg(name="json")] = False,
) -> int:
    """Show a network layer by layer: output, parameters, multiply-adds, receptive field, stride.

    Args:
        model: name; `jaxconv list` prints them.
        size: height and width of the image in pixels. Default: what the network was published for.
        in_chans: channels of the image. Default: likewise.
        num_classes: classes; 0 leaves the classifier out. Default: likewise.
        as_json: print a JSON object instead of a table.
    """
    info = model_info(model)
    size = info.size_for(size)
    network = create_model(model, in_chans=in_chans, num_classes=num_classes, key=None)
    with about("--size"):
        require_fit(network, size)
    result = summarize(network, size=size, in_chans=in_chans or info.in_chans)
    if as_json:
        print(json.dumps(dataclasses.asdict(result)))
        return 0
    show(summary_table(result))
    return 0
