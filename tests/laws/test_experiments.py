"""Laws of experiments: stopped and gone on with is run through, in any order, and nothing twice."""

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import fashion
from looks import pipeline
from regard import sweep
from regard.data import scene
from regard.data.pictures import pictures
from regard.errors import OutputError
from regard.experiments import (
    Done,
    Result,
    benchmark,
    compare,
    consist,
    consistency,
    evaluate,
    experiments,
    images,
    redundancy,
    score,
    vit,
)
from regard.experiments.studies.consistency_plan import ConsistencyBudget
from regard.experiments.studies.removal_plan import PromptBudget
from regard.models import TextToImage

PROMPTS = ["a cat and a dog", "a bird and a yellow apple"]
FEW = {"num_inference_steps": 2}


def swept(prompts, **how):
    return sweep(pipeline(), prompts, "stages", **FEW, **how)


def compared(prompts, **how):
    methods = ["drop"]
    return benchmark(pipeline(), prompts=prompts, methods=methods, captioner=None, **FEW, **how)


def two_models(prompts, **how):
    other = replace(TextToImage.of(pipeline()), name="other")
    return compare([pipeline(), other], prompts, **FEW, **how)


on_images = pytest.mark.parametrize("experiment", [swept, compared])


def studied(**how):
    return vit(fashion.knowing(), fashion.clothes(), budget=fashion.TINY, **how)


def removed(**how):
    budget = PromptBudget(prompts=2, planted=1, seeds=(0,), steps=1)
    return redundancy(budget=budget, **how)


def alike(**how):
    few = ConsistencyBudget(subjects=1, scenes=2, seeds=1, steps=1, ways=("none", "share"))
    return consistency(budget=few, **how)


def evaluated(**how):
    return evaluate("openmoji-autoencoder", quick=True, **how)


CASES = {
    "benchmark": lambda **how: compared(PROMPTS, seeds=1, **how),
    "compare": lambda **how: two_models(PROMPTS, seeds=1, **how),
    "consist": lambda **how: consist(
        pipeline(), "a cat", ["on grass", "on the road"], method="share", **FEW, **how
    ),
    "consistency": alike,
    "evaluate": evaluated,
    "redundancy": removed,
    "sweep": lambda **how: swept(PROMPTS, seeds=1, **how),
    "vit": studied,
}
"""Every experiment whose cases a store keeps, in small."""


def scored(folder):
    for number in range(6):
        Image.fromarray(np.asarray(scene(number).image)).save(folder / f"{number}.png")
    said = {f"{number}.png": (scene(number).caption(),) for number in range(6)}
    return score(pictures(folder), said=said)


def test_every_experiment_is_tested_here():
    assert set(experiments) == {*CASES, "score"}


@pytest.fixture
def whole(request):
    """The result of an experiment that was not stopped; made once."""
    return finished(request.param)


@cache
def finished(name):
    return CASES[name]()


every = pytest.mark.parametrize("whole", CASES, indirect=True)


def plain(table):
    """A table without what a clock says."""
    return table.drop(columns=[name for name in table if name.startswith("seconds")])


@pytest.mark.parametrize("name", CASES)
def test_stopped_and_gone_on_with_is_run_through(name, tmp_path):
    whole, told = finished(name), []

    def count(*now):
        told.append(now[-2:])

    CASES[name](store=tmp_path / "whole", progress=count)
    half = told[-1][0] // 2

    def stop(*now):
        if now[-2] > half:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        CASES[name](store=tmp_path / "s", progress=stop)
    kept = {each.name for each in (tmp_path / "s" / "cases").iterdir()}
    again = CASES[name](store=tmp_path / "s")
    assert kept
    assert len(kept) < len(again.cases)
    pd.testing.assert_frame_equal(plain(again.table), plain(whole.table), check_dtype=False)


@every
def test_a_result_is_a_folder_that_is_complete_and_says_what_it_holds(whole, tmp_path):
    assert isinstance(whole, Result)
    whole.save(tmp_path / "out")
    recipe = json.loads((tmp_path / "out" / "recipe.json").read_text())
    there = {each.relative_to(tmp_path / "out").as_posix()
             for each in (tmp_path / "out").rglob("*") if each.is_file()}  # fmt: skip
    assert there == set(recipe["files"]) >= {"report.html", "recipe.json"}
    assert recipe["format"] == whole.kind.stamp
    json.dumps(whole.to_json(), allow_nan=False)
    assert "<table" in whole._repr_html_()
    with pytest.raises(OutputError, match=f"holds a.* {whole.kind.name}"):
        whole.save(tmp_path / "out")


def test_scores_are_a_folder_too(tmp_path):
    (tmp_path / "images").mkdir()
    test_a_result_is_a_folder_that_is_complete_and_says_what_it_holds(
        scored(tmp_path / "images"), tmp_path
    )


@every
def test_all_cases_are_named_by_what_decides_them(whole):
    assert len(set(whole.cases)) == len(list(whole.cases)) > 1
    assert all(isinstance(done, Done) for done in whole.cases.values())


@pytest.fixture
def made(monkeypatch):
    """Prompt and seed of every image that is generated."""
    requests, generate = [], images.generate

    def counted(model, asked, **how):
        requests.extend((each.prompt, each.seed) for each in asked)
        return generate(model, asked, **how)

    monkeypatch.setattr(images, "generate", counted)
    return requests


def sorted_table(found):
    """The table in one order, without what a clock says."""
    table = found.table.drop(columns="seconds", errors="ignore")
    first = [name for name in ("ablation", "method") if name in table]
    return table.sort_values(["prompt", "seed", *first]).reset_index(drop=True)


def equal(one, other):
    pd.testing.assert_frame_equal(sorted_table(one), sorted_table(other), rtol=1e-5, atol=1e-5)
    assert set(one.cases) == set(other.cases)
    for cell, done in one.cases.items():
        assert other.cases[cell].labels == done.labels
        assert np.abs(other.cases[cell].images.astype(int) - done.images).max() <= 1


@on_images
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


@on_images
def test_the_order_of_cases_does_not_matter(experiment):
    equal(experiment(PROMPTS, seeds=1), experiment(PROMPTS[::-1], seeds=1))


@on_images
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


@on_images
def test_every_column_of_numbers_has_a_unit(experiment):
    found = experiment(PROMPTS[:1], seeds=1)
    numbers = set(found.table.select_dtypes("number")) - {"seed", "head"}
    assert numbers <= set(found.units)
    assert numbers
