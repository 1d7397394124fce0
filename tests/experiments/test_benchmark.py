import json

import numpy as np
import pandas as pd
import pytest

from looks import pipeline
from regard.errors import ArgumentError, OutputError, UnknownName
from regard.experiments import images
from regard.experiments.benchmark import benchmark, quick_prompts, set_of
from regard.experiments.benchmark_report import BENCHMARK, methods_of, table_of
from regard.experiments.result import Result
from regard.look import look

PROMPTS = ["a cat and a dog", "a bird and a yellow apple"]
HOW = {"methods": ["attend-and-excite"], "num_inference_steps": 2, "captioner": None}


@pytest.fixture(scope="module")
def found():
    return benchmark(pipeline(), prompts=PROMPTS, seeds=2, **HOW)


def test_each_prompt_seed_and_method_has_its_row_and_its_picture(found):
    assert methods_of(found) == ["baseline", "attend-and-excite"]
    columns = found.table[["prompt", "method", "seed"]].itertuples(index=False, name=None)
    assert list(columns) == [
        (prompt, method, seed)
        for prompt in PROMPTS
        for method in methods_of(found)
        for seed in (0, 1)
    ]
    bare = look(pipeline(), PROMPTS[1], num_inference_steps=2, seed=1).image
    difference = found.cases[PROMPTS[1], 1].images[0].astype(int) - np.asarray(bare)
    assert abs(difference).max() <= 1
    assert (found.table["seconds"] > 0).all()


def test_without_a_segmenter_that_knows_the_pictures_nothing_is_said_of_subjects(found):
    assert "neglected" not in found.table
    assert found.table["full_prompt"].between(-1, 1).all()
    assert (found.table["minimum_object_similarity"] <= 1).all()
    assert any("segmenter" in note for note in found.notes)


def test_an_interrupted_benchmark_goes_on_and_makes_no_image_twice(tmp_path, monkeypatch):
    made, generate = [], images.generate
    monkeypatch.setattr(
        images,
        "generate",
        lambda m, asked, **how: (made.extend(asked), generate(m, asked, **how))[1],
    )

    def stop(done, total):
        if done > 2:
            raise KeyboardInterrupt

    how = {"prompts": PROMPTS, "seeds": 1, **HOW, "methods": ["drop"], "store": tmp_path / "b"}
    with pytest.raises(KeyboardInterrupt):
        benchmark(pipeline(), **how, progress=stop)
    assert [each.prompt for each in made[:2]] == [PROMPTS[0]] * 2
    made.clear()
    told = []
    again = benchmark(pipeline(), **how, progress=lambda *at: told.append(at))
    assert [each.prompt for each in made] == [PROMPTS[1]] * 2
    assert (told[0], told[-1]) == ((2, 4), (4, 4))
    assert told == sorted(told)
    assert len(again.table) == 4
    made.clear()
    benchmark(pipeline(), **{**how, "seeds": 2})
    assert [(each.prompt, each.seed) for each in made] == [
        (prompt, 1) for prompt in PROMPTS for _ in ("baseline", "method")
    ]
    with pytest.raises(OutputError, match="unfinished benchmark with another methods"):
        benchmark(pipeline(), **{**how, "methods": ["nudge"]})


def test_a_folder_has_all_of_it(found, tmp_path):
    folder = found.save(tmp_path / "b")
    told = json.loads((folder / "recipe.json").read_text())
    assert all((folder / name).is_file() for name in told["files"])
    assert len(pd.read_csv(folder / "table.csv")) == 8
    assert "The Attend-and-Excite benchmark" in (folder / "report.html").read_text()


def made_up(**columns):
    """Two prompts of one set, two seeds, two methods."""
    rows = [
        {"set": "animals", "prompt": prompt, "seed": seed, "method": method}
        for prompt in PROMPTS
        for method in ("baseline", "m")
        for seed in (0, 1)
    ]
    return Result(BENCHMARK, pd.DataFrame(rows).assign(**columns), {})


def test_the_summary_is_what_is_worked_out_by_hand():
    found = made_up(neglected=[1, 1, 1, 0, 0, 1, 0, 0], seconds=[1.0, 1, 3, 3, 1, 1, 1, 1])
    told = found.summary().set_index(["set", "method", "measure"])
    row = told.loc["all", "m", "neglected"]
    assert (row["mean"], row["ratio"]) == (0.25, pytest.approx(1 / 3))
    # Prompts differ by -1/2 each: of four exchanges of their signs two are as far from 0. Two
    # prompts are too few for an interval.
    assert row["difference"] == -0.5
    assert row[["difference_low", "difference_high", "low", "high"]].isna().all()
    assert row["p"] == 0.5
    assert told.loc["all", "m", "seconds"]["ratio"] == 2.0
    assert np.isnan(told.loc["all", "baseline", "neglected"]["difference"])
    wide = table_of(found.summary())
    assert wide["cost"].tolist() == [1.0, 2.0]
    assert wide["neglected"].tolist() == [0.75, 0.25]


def test_what_is_measured_nowhere_in_a_set_has_no_mean():
    told = made_up(misbound_colours=[np.nan] * 8, seconds=1.0).summary()
    assert told[told["measure"] == "misbound_colours"]["mean"].isna().all()


def test_where_bare_and_method_are_never_both_measured_nothing_is_compared(tmp_path):
    # The quick benchmark of one step: no picture of the method has a colour that could be judged.
    nan = np.nan
    found = made_up(misbound_colours=[0.5, 0.5, nan, nan, nan, nan, 1.0, 1.0], seconds=1.0)
    told = found.summary().set_index(["set", "method", "measure"])
    row = told.loc["all", "m", "misbound_colours"]
    assert (row["mean"], row["ratio"]) == (1.0, 2.0)
    assert np.isnan(row["difference"])


def test_shares_that_are_never_seen_are_not_taken_for_impossible():
    rows = pd.DataFrame(
        {"set": "animals", "prompt": [f"p{n}" for n in range(8)], "seed": 0, "method": "baseline"}
    )
    found = Result(BENCHMARK, rows.assign(neglected=0.0), {})
    row = found.summary().iloc[-1]
    # Wilson's interval of 0 of 8: 1.96^2 / (8 + 1.96^2).
    assert (row["low"], row["high"]) == pytest.approx((0.0, 3.841459 / 11.841459))


def test_an_encoder_without_texts_is_refused_before_anything_is_drawn():
    from dataclasses import replace

    from regard.scores.pairs import open_encoder

    blind = replace(open_encoder("openmoji-clip"), texts=None)
    with pytest.raises(ArgumentError, match="reads no texts, so it cannot score how well"):
        benchmark(pipeline(), prompts=PROMPTS, seeds=1, **HOW, encoder=blind)


def test_what_is_kept_of_a_picture_is_small():
    from PIL import Image

    from regard.experiments.store import small

    assert small(Image.new("RGB", (1024, 512))).shape == (64, 128, 3)
    assert small(Image.new("L", (64, 64))).shape == (64, 64, 3)


def test_a_quick_benchmark_has_prompts_of_each_set():
    assert {set_of()[each] for each in quick_prompts()} == {"animals", "animals_objects", "objects"}


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"methods": ["excite"]}, UnknownName, "no method is named 'excite'"),
        ({"methods": ["temperature"]}, ArgumentError, "temperature takes no words"),
        ({"methods": []}, ArgumentError, "Give each method once, and at least one"),
        ({"methods": ["drop", "drop"]}, ArgumentError, "'drop' comes twice"),
        ({"methods": ["drop when=now"]}, UnknownName, "no setting of drop is named 'when'"),
        ({"methods": ["drop stagee=null"]}, UnknownName, "Did you mean 'stage'"),
        ({"methods": ["drop words=[]"]}, ArgumentError, "subjects of each prompt. Leave words out"),
        (
            {"methods": ["choose-noise candidates={}"]},
            ArgumentError,
            "choose-noise cannot be made of",
        ),
        ({"prompts": []}, ArgumentError, "Give each prompt once"),
        ({"prompts": ["a house"]}, ArgumentError, "'a house' is no prompt of the benchmark"),
        ({"seeds": 0}, ArgumentError, "seeds is 0"),
        ({"captioner": "nobody", "prompts": PROMPTS}, UnknownName, "nobody"),
    ],
)
def test_mistakes_are_told_before_anything_is_drawn(settings, error, message, monkeypatch):
    def never(*args):
        raise AssertionError("it drew")

    monkeypatch.setattr("regard.experiments.images.ImagePlan.work", never)
    asked = {
        "methods": ["attend-and-excite"],
        "captioner": None,
        "num_inference_steps": 1,
        **settings,
    }
    with pytest.raises(error, match=message):
        benchmark(pipeline(), **asked)


def test_a_method_may_come_with_settings():
    methods = [
        "attend-and-excite",
        "choose-noise candidates=1",
        "attend-and-excite scale_factor=0.0",
    ]
    found = benchmark(pipeline(), prompts=PROMPTS[:1], seeds=1, **{**HOW, "methods": methods})
    assert methods_of(found) == ["baseline", *methods]
    bare, excited, *neutral = found.cases[PROMPTS[0], 0].images.astype(int)
    assert abs(excited - bare).max() > 0
    assert all(abs(each - bare).max() <= 1 for each in neutral)
