"""Each image counts once, whatever the batch size and the number of devices."""

import numpy as np
import pytest
from train.conftest import stripes, tiny_apply, tiny_params, tiny_stats

from jaxconv.functional import cross_entropy
from jaxconv.train import Preprocess, make_eval_step
from jaxconv.train.evaluate import evaluate, padded_batches
from jaxconv.train.parallel import compile_evaluation, data_mesh, replicate


@pytest.mark.parametrize("batch_size", [1, 4, 7, 8, 100])
def test_batches_cover_the_data_once(batch_size):
    data = stripes(21)
    seen = [labels[mask] for _, labels, mask in padded_batches(data, batch_size)]
    assert np.concatenate(seen).tolist() == data.labels.tolist()
    assert {len(mask) for _, _, mask in padded_batches(data, batch_size)} == {batch_size}


def test_the_result_depends_on_neither_batch_nor_devices():
    data = stripes(21, seed=2)
    step = make_eval_step(tiny_apply, loss=cross_entropy, preprocess=Preprocess(mean=(0.3,), std=(0.3,)))
    x = (data.images / 255 - 0.3) / 0.3
    logits = np.asarray(tiny_apply(tiny_params(), tiny_stats(), x.astype(np.float32), train=False)[0], np.float64)
    log_p = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    want = -log_p[np.arange(21), data.labels].mean()
    correct = int((logits.argmax(-1) == data.labels).sum())
    for devices, batch_size in ((1, 21), (1, 4), (8, 8), (4, 32)):
        mesh = data_mesh(devices)
        params, stats = replicate((tiny_params(), tiny_stats()), mesh)
        compiled = compile_evaluation(step, mesh, batch_arguments=3)
        got = evaluate(compiled, params, stats, data, batch_size=batch_size, mesh=mesh)
        assert got["images"] == 21 and got["correct"] == correct and got["accuracy"] == correct / 21
        assert got["loss"] == pytest.approx(want, rel=1e-5)
