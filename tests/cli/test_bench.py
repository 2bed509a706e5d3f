"""`jaxconv bench`."""

import csv
import re

import pytest

from jaxconv.cli import main
from jaxconv.cli.bench import chosen

TIMM_INFER = "samples_per_sec step_time batch_size img_size gmacs macts".split()
TIMM_TRAIN = "samples_per_sec step_time batch_size img_size".split()
QUICK = ["--batch-size", "2", "--calls", "3", "--limit", "1"]


def table(path):
    return list(csv.DictReader(path.read_text().splitlines()))


def test_columns_of_timm_then_ours(tmp_path, capsys):
    out = tmp_path / "bench.csv"
    assert main(["bench", "lenet5", "nielsen_conv1", "--mode", "infer", "train", *QUICK, "--csv", str(out)]) == 0
    printed = capsys.readouterr()
    rows = table(out)
    theirs = [*(f"infer_{c}" for c in TIMM_INFER), *(f"train_{c}" for c in TIMM_TRAIN)]
    assert list(rows[0])[: len(theirs) + 2] == ["model", *theirs, "param_count"]
    assert [row["model"] for row in rows] == ["lenet5", "nielsen_conv1"]
    lenet = rows[0]
    assert (lenet["param_count"], lenet["infer_img_size"], lenet["infer_batch_size"]) == ("0.06", "32", "2")
    for mode in ("infer", "train"):
        milliseconds = float(lenet[f"{mode}_step_time"])
        assert float(lenet[f"{mode}_samples_per_sec"]) == pytest.approx(2e3 / milliseconds, rel=1e-2)
        low, high = map(float, lenet[f"{mode}_step_time_quartiles"].split())
        assert low <= milliseconds <= high
    assert "[2/2] nielsen_conv1: 2 images of 28x28, float32" in printed.err
    assert re.search(r"lenet5 +│ train +│ +[\d,.]+ │", printed.out)


def test_published_counts_of_a_known_network(tmp_path):
    """timm's own table says 0.7 gmacs, 1.51 macts, 5.44 M parameters for resnet10t at 176."""
    out = tmp_path / "bench.csv"
    assert main(["bench", "resnet10t", "--dtype", "bfloat16", *QUICK, "--csv", str(out)]) == 0
    (row,) = table(out)
    assert (row["infer_gmacs"], row["infer_macts"], row["param_count"]) == ("0.7", "1.51", "5.44")
    assert (row["infer_img_size"], row["dtype"]) == ("176", "bfloat16")
    assert float(row["infer_memory_mib"]) > 4 * 5.44e6 / 2**20


def test_patterns():
    assert chosen(("vgg1?", "lenet5", "vgg11")) == ["vgg11", "vgg13", "vgg16", "vgg19", "lenet5"]


def test_a_network_that_fails_does_not_end_the_others(tmp_path, capsys):
    out = tmp_path / "bench.csv"
    arguments = ["bench", "inception_v4", "conv_pyramid", "--size", "32", "32", *QUICK, "--csv", str(out)]
    assert main(arguments) == 1
    assert "An output would be empty" in capsys.readouterr().err
    assert [row["model"] for row in table(out)] == ["conv_pyramid"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["resnet5"], "The closest names: resnet5"),
        (["resnett*"], "no network matches 'resnett*'; close names are resnet"),
        ([], "models must name at least one network"),
        (["lenet5", "--batch-size", "0"], "--batch-size must be positive; got 0"),
        (["lenet5", "--calls", "0"], "--calls must be positive"),
        (["lenet5", "--limit", "-1"], "--limit must be positive"),
        (["lenet5", "--size", "0", "32"], "--size must be positive; got (0, 32)"),
        (["lenet5", "--size", "64", "64"], "--size must be (32, 32) for lenet5"),
        (["lenet5", "--mode"], "--mode must be infer, train, or both"),
        (["lenet5", "--csv", "nowhere/bench.csv"], "--csv: [Errno 2] No such file or directory: 'nowhere/bench.csv'"),
    ],
)
def test_mistakes_are_named(arguments, message, capsys):
    assert main(["bench", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_file_is_not_replaced_unasked(tmp_path, capsys):
    out = tmp_path / "bench.csv"
    out.write_text("mine")
    assert main(["bench", "lenet5", *QUICK, "--csv", str(out)]) == 2
    assert f"{out} exists; --force replaces it" in capsys.readouterr().err and out.read_text() == "mine"
    assert main(["bench", "lenet5", *QUICK, "--csv", str(out), "--force"]) == 0
    assert out.read_text().startswith("model,")
