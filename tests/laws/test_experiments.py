"""Laws of experiments: stopped and gone on with is run through, in any order, and nothing twice."""

import numpy as np
import pandas as pd
import pytest

from looks import pipeline
from regard import sweep
from regard.experiments import run
from regard.experiments.benchmark import benchmark

PROMPTS = ["a cat and a dog", "a bird and a yellow apple"]
FEW = {"num_inference_steps": 2}


def swept(prompts, **how):
    return sweep(pipeline(), prompts, "places", **FEW, **how)


def compared(prompts, **how):
    methods = ["drop"]
    return benchmark(pipeline(), prompts=prompts, methods=methods, captioner=None, **FEW, **how)


experiments = pytest.mark.parametrize("experiment", [swept, compared])


@pytest.fixture
def made(monkeypatch):
    """Prompt and seed of every image that is generated."""
    requests, generate = [], run.generate

    def counted(model, asked, **how):
        requests.extend((each.prompt, each.seed) for each in asked)
        return generate(model, asked, **how)

    monkeypatch.setattr(run, "generate", counted)
    return requests


def sorted_table(found):
    """The table in one order, without what a clock says."""
    table = found.table.drop(columns="seconds", errors="ignore")
    first = [name for name in ("ablation", "method") if name in table]
    return table.sort_values(["prompt", "seed", *first]).reset_index(drop=True)


def equal(one, other):
    pd.testing.assert_frame_equal(sorted_table(one), sorted_table(other), rtol=1e-5, atol=1e-5)
    assert set(one.cells) == set(other.cells)
    for cell, done in one.cells.items():
        assert other.cells[cell].labels == done.labels
        assert np.abs(other.cells[cell].pictures.astype(int) - done.pictures).max() <= 1


@experiments
def test_interrupted_and_resumed_is_uninterrupted_and_nothing_is_made_twice(
    experiment, made, tmp_path
):
    whole = experiment(PROMPTS, seeds=1)
    half, all_of_them = len(made) // 2, sorted(made)

    def stop(done, total):
        if done > half:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        experiment(PROMPTS, seeds=1, store=tmp_path / "s", progress=stop)
    made.clear()
    equal(experiment(PROMPTS, seeds=1, store=tmp_path / "s"), whole)
    assert set(made) == {(PROMPTS[1], 0)}
    made.clear()
    equal(experiment(PROMPTS, seeds=1, store=tmp_path / "s"), whole)
    assert not made
    assert len(all_of_them) == 2 * half


@experiments
def test_the_order_of_cases_does_not_matter(experiment):
    equal(experiment(PROMPTS, seeds=1), experiment(PROMPTS[::-1], seeds=1))


@experiments
def test_a_prompt_or_a_seed_more_reuses_what_is_finished(experiment, made, tmp_path):
    experiment(PROMPTS[:1], seeds=1, store=tmp_path / "s")
    assert set(made) == {(PROMPTS[0], 0)}
    made.clear()
    experiment(PROMPTS, seeds=1, store=tmp_path / "s")
    assert set(made) == {(PROMPTS[1], 0)}
    made.clear()
    more = experiment(PROMPTS, seeds=2, store=tmp_path / "s")
    assert set(made) == {(prompt, 1) for prompt in PROMPTS}
    equal(more, experiment(PROMPTS, seeds=2))


@experiments
def test_every_column_of_numbers_has_a_unit(experiment):
    found = experiment(PROMPTS[:1], seeds=1)
    numbers = set(found.table.select_dtypes("number")) - {"seed", "head"}
    assert numbers <= set(found.units)
    assert numbers
