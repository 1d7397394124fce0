"""The whole study of a tiny classifier, and the folder that it is saved as."""

import html
import json
import os
import re
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

import fashion
from regard.data import fashion_mnist
from regard.errors import ArgumentError, DataError, UnknownName
from regard.experiments.studies import studies, vit
from regard.experiments.studies.hypotheses import ALL
from small_study import small_study


@pytest.fixture(scope="module")
def saved(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("room") / "out"
    assert study.save(folder) == Path(os.path.realpath(folder))
    return folder


def files(folder):
    return sorted(each.relative_to(folder).as_posix() for each in Path(folder).rglob("*"))


# ---------------------------------------------------------------- what it answers


def test_every_hypothesis_is_answered(study):
    assert sorted(study.findings["name"]) == sorted(each.name for each in ALL)
    assert set(study.findings["verdict"]) <= {"holds", "fails", "undecided"}
    assert study.findings["answer"].str.contains(r"\d").all()
    assert (study.findings["claim"].str.len() > 20).all()


def test_every_part_has_its_tables_and_pictures(study):
    assert len(study.sections) == 7
    wanted = "findings images classes layers-heads depth diversity clusters sizes sizes-layers "
    wanted = set((wanted + "mistakes heads heads-links faithfulness").split())
    assert wanted <= set(study.tables)
    assert len(study.tables["images"]) == 40
    assert len(study.tables["heads"]) == 6
    assert study.tables["sizes"]["size"].tolist() == ["21 px", "28 px", "35 px", "49 px"]
    assert study.tables["sizes"]["interpolated"].tolist() == ["yes", "no", "yes", "yes"]
    drawn = "examples-layers examples-heads examples-rollout diversity sizes-maps heads-special"
    assert {*drawn.split(), "faith-gaps", "classes-maps"} <= set(study.figures)


def test_at_its_own_size_nothing_is_lost_and_maps_are_the_same(study):
    own = study.tables["sizes"].set_index("size").loc["28 px"]
    assert own["lost"] == 0
    assert own["likeness"] == pytest.approx(1.0)


def test_progress_is_told_to_the_end(study, told):
    done = [each[1] for each in told]
    assert done == sorted(done)
    assert {total for _, _, total in told} == {told[-1][2]}
    assert told[-1][0] == "plotting examples"
    assert told[-1][1] > 0.8 * told[-1][2]


def test_the_recipe_says_with_what_it_was_made(study):
    for name in (
        "model",
        "weights_sha256",
        "layers",
        "heads",
        "parity_error",
        "budget",
        "versions",
    ):
        assert study.recipe[name]
    assert study.recipe["budget"]["images"] == 40
    assert json.loads(json.dumps(study.recipe)) == study.recipe
    assert repr(study).startswith("Study(vit: 11 hypotheses, ")


# ---------------------------------------------------------------- the folder


def test_the_folder_holds_what_it_says(study, saved):
    recipe = json.loads((saved / "recipe.json").read_text())
    assert [each for each in files(saved) if (saved / each).is_file()] == sorted(recipe["files"])
    assert {"report.html", "summary.md", "findings.json"} <= set(recipe["files"])
    images = pd.read_csv(saved / "tables" / "images.csv")
    assert images["class"].tolist() == study.tables["images"]["class"].tolist()
    found = json.loads((saved / "findings.json").read_text())
    assert [each["name"] for each in found] == study.findings["name"].tolist()
    with Image.open(saved / "figures" / "diversity.png") as drawn:
        assert drawn.width > 300


def test_the_report_needs_no_network_and_no_script(study, saved):
    page = (saved / "report.html").read_text()
    assert "<script" not in page
    assert "default-src 'none'" in page
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert all(link.startswith(("data:", "#part-")) for link in links)
    assert page.count("data:image/png") == len(study.figures)
    for claim in study.findings["claim"]:
        assert page.index(html.escape(claim)) < page.index("<h2")


def test_the_summary_tells_every_answer(study, saved):
    text = (saved / "summary.md").read_text()
    assert text.startswith("# What the study of tiny found\n")
    for answer in study.findings["answer"]:
        assert answer in text
    assert "nan" not in text
    assert "](" not in text  # a page of the docs must not point at what is not there


def test_text_is_text_in_every_format(tmp_path):
    folder = small_study().save(tmp_path / "out")
    assert "It &lt;rises&gt; | falls." in (folder / "report.html").read_text()
    assert "It <rises> \\| falls." in (folder / "summary.md").read_text()
    (found,) = json.loads((folder / "findings.json").read_text())
    assert (found["high"], found["p_holm"], found["n"]) == (None, None, 9)
    assert "0.5 [0.25, –]" in (folder / "report.html").read_text()


# ---------------------------------------------------------------- bad input


def test_a_missing_data_set_says_where_to_get_it(tmp_path):
    with pytest.raises(DataError, match="get it with 'apt-get install dataset-fashion-mnist'"):
        vit("fashion-vit", tmp_path)


def test_there_is_no_such_model():
    with pytest.raises(UnknownName, match="no model is named 'fashion-vti'. Did you mean"):
        vit("fashion-vti", fashion.clothes())


def test_a_model_of_other_classes_is_refused():
    other = fashion.vision(labels=("cat", "dog", "bird"))
    with pytest.raises(ArgumentError, match="names 3 classes"):
        vit(other, fashion.clothes())


def test_studies_are_listed_and_found_by_name():
    assert studies.names() == ("consistency", "redundancy", "vit")
    assert studies["vit"] is vit
    with pytest.raises(UnknownName, match="no study is named 'vti'. Did you mean 'vit'"):
        studies.get("vti")


def test_the_files_of_the_data_set_are_read(monkeypatch, tmp_path):
    import sys

    reader = sys.modules["regard.data.fashion_mnist"]
    folder = fashion.data_folder(tmp_path, monkeypatch, reader, fashion.clothes(10))
    assert len(fashion_mnist("test", folder)) == 10
    with pytest.raises(ArgumentError, match="names 3 classes"):
        vit(fashion.vision(labels=("cat", "dog", "bird")), folder)
