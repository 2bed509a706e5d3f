"""The rows that must be there are those that a run writes."""

import json

import pytest

from jaxconv.train import fit
from jaxconv.train.rows import due, next_record


@pytest.mark.parametrize("settings", [{}, {"batch_size": 1, "epochs": 2}, {"batch_size": 3}])
def test_every_row_of_a_finished_run_is_due_at_its_end_but_the_last_evaluation(make_experiment, tmp_path, settings):
    experiment = make_experiment(**settings)
    fit(experiment, tmp_path / "run", progress=False)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    written = [(row["step"], row["split"]) for row in rows]
    assert [*due(experiment, experiment.total_steps), (experiment.total_steps, "eval")] == written
    for step in range(experiment.total_steps):
        assert list(due(experiment, step)) == [row for row in written if row[0] < step or row == (step, "train")]


def test_an_epoch_has_ten_records_or_one_a_step(make_experiment):
    experiment = make_experiment(batch_size=1)  # 50 steps an epoch
    assert [next_record(experiment, 1, step) for step in (0, 4, 5, 49)] == [5, 5, 10, 50]
    assert next_record(experiment, 2, 50) == 55
    assert next_record(make_experiment(), 1, 3) == 4
