"""Laws of what is saved: whole or not there, its own kind alone replaced, old versions open."""

import ast
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

import regard
from killed import calls_of, full_at, killed_at
from looks import PROMPT, pipeline, seen
from regard.data.coco import write_coco
from regard.errors import OutputError
from regard.experiments.benchmark_report import BENCHMARK
from regard.experiments.compare_report import COMPARE
from regard.experiments.consist_report import CONSIST
from regard.experiments.evaluate_report import EVALUATION, Evaluation, table_of
from regard.experiments.result import Result
from regard.experiments.score_report import SCORE, Scores
from regard.experiments.store import Done
from regard.experiments.sweep_report import SWEEP
from regard.explain.output import Explained
from regard.look import Looks, look, look_at
from regard.measures.words import word_table
from regard.steering import Steered
from regard.steering.weights import WordWeights
from regard.trace import Trace, toy_trace, toy_vision
from regard.trace.intact import digest
from regard.trace.store import _to_zarr, open_layers, tree_of
from regard.zoo.checkpoint import FOLDER as TRAINING
from regard.zoo.checkpoint import write_model
from small_study import small_study
from visions import picture, vision_folder

FEW = {"num_inference_steps": 1}

SOURCE = Path(regard.__file__).parent


@dataclass(frozen=True)
class Format:
    """One kind of folder that something is saved as.

    Attributes:
        home: The module that declares it.
        what: What it holds, as messages say.
        made: Two things of the kind that differ.
        inside: A folder within one.
    """

    home: str
    what: str
    made: Callable[[], tuple[Any, Any]]
    inside: str | None = None

    def save(self, folder: Path, which: int = 0, *, overwrite: bool = False) -> None:
        """Save one of the two."""
        each = self.made()[which]
        if callable(each):
            each(folder, overwrite)
        else:
            each.save(folder, overwrite=overwrite)


@cache
def dog_seen():
    return look(pipeline(), "a dog", **FEW)


def several_looks():
    return Looks((seen(), dog_seen())), Looks((dog_seen(), seen(), replace(seen())))


def images_looked_at():
    with tempfile.TemporaryDirectory() as folder:
        place = vision_folder(Path(folder))
        return look_at(place, picture(), size=(16, 24)), look_at(place, picture(), size=(24, 24))


def steered():
    recipe = {"prompt": PROMPT, "methods": [{"method": "drop", "words": "cat"}]}
    table = pd.DataFrame({"measure": ["mass"], "word": ["cat"], "change": [0.5]})
    dog = dog_seen()
    return tuple(Steered(dog, dog, table.assign(before=at), recipe) for at in (0.0, 0.5))


def word_weights():
    table = pd.DataFrame({"word": ["cat"], "part": [0], "weight": [1.5], "low": [1], "high": [2]})
    losses = pd.DataFrame({"weights": ["none", "learned"], "change": [0.0, -0.1]})
    image = Image.new("RGB", (8, 8))
    return tuple(
        WordWeights(PROMPT, table.assign(part=part), losses, image, {}, None) for part in (0, 1)
    )


def explained():
    heat = xr.DataArray(np.eye(2), dims=["y", "x"], attrs={"units": "1"})
    image = Image.new("RGB", (8, 8))
    return Explained(image, {"cat": heat}), Explained(image, {"dog": heat, "cat": heat})


def result(kind, value, **recipe):
    """Of one prompt, its baseline and one change, each a black image."""
    row = {"prompt": "a cat", "seed": 0, "set": "animals", "ablation": "up", **value}
    rows = [{**row, "method": name} for name in ("baseline", "drop")]
    rows = rows[1:] if kind is SWEEP else rows  # where a baseline has no effect
    cell = Done(rows, ["baseline", "drop"], np.zeros((2, 4, 4, 3), np.uint8))
    return Result(kind, pd.DataFrame(rows), recipe, {("a cat", 0): cell}, units={"distance": "1"})


def swept():
    recipe = {"prompts": ["a cat"], "seeds": [0], "over": "stages", "during": None, "model": "m"}
    return tuple(result(SWEEP, {"distance": value}, **recipe) for value in (0.25, 0.5))


def compared():
    recipe = {"seeds": 1, "num_inference_steps": 1}
    return tuple(result(BENCHMARK, {"seconds": value}, **recipe) for value in (1.0, 2.0))


def models_compared():
    recipe = {"seeds": [0], "num_inference_steps": 1, "prompts": [], "models": {"one": {}}}
    rows = ({"model": "one", "seconds": value} for value in (1.0, 2.0))
    return tuple(result(COMPARE, row, **recipe) for row in rows)


def scenes_compared():
    recipe = {"subject": "a cat", "scenes": [], "ways": ["none"], "method": [], "anchors": 2}
    rows = ({"way": "none", "lent": value} for value in (0.0, 0.5))
    return tuple(result(CONSIST, row, **recipe, encoder=None) for row in rows)


def scored():
    recipe = {"encoder": "toy", "level": 0.95}
    shown = pd.DataFrame({"image": [], "clip_score": []})
    tables = [
        pd.DataFrame({"measure": ["clip_score"], "of": ["images"], "value": [value]})
        for value in (0.5, 0.25)
    ]
    return tuple(Scores(SCORE, each, recipe, images=shown) for each in tables)


def evaluated():
    recipe = {"model": "toy", "quick": True}
    found = ({"psnr_db": 30.0}, {"psnr_db": 31.0})
    done = {"one": Done([], ["a cat"], np.zeros((1, 4, 4, 3), np.uint8))}
    return tuple(
        Evaluation(EVALUATION, table_of(each), recipe, done, figures=each) for each in found
    )


def scenes():
    def written(count):
        return lambda folder, _: write_coco(folder, count)

    return written(1), written(2)


def trained():
    def written(name):
        def fill(fresh):
            (fresh / "unet").mkdir(parents=True)
            (fresh / "unet" / f"{name}.safetensors").write_text(name)

        def save(folder, overwrite):
            # A training that resumes replaces what an earlier one wrote.
            with TRAINING.claim(folder, overwrite=overwrite) as target:
                write_model(target, fill, steps=1)

        return save

    return written("one"), written("other")


FORMATS = {
    "trace": Format(
        "regard.trace.store", "trace", lambda: (toy_trace(), toy_vision()), "layers"
    ),
    "look": Format(
        "regard.look.output", "look", lambda: (seen(), dog_seen()),
        "heatmaps",
    ),
    "looks": Format(
        "regard.look.several", "set of looks", several_looks, "a-cat-and-a-turtle-on-grass-seed0"
    ),
    "look-at": Format("regard.look.output", "look", images_looked_at, "heatmaps"),
    "steering": Format("regard.steering.output", "steering", steered, "before"),
    "weights": Format("regard.steering.weights", "set of word weights", word_weights),
    "explanation": Format("regard.explain.output", "explanation", explained, "maps"),
    "sweep": Format("regard.experiments.sweep_report", "sweep", swept, "figures"),
    "benchmark": Format("regard.experiments.benchmark_report", "benchmark", compared, "figures"),
    "comparison": Format(
        "regard.experiments.compare_report", "comparison", models_compared, "figures"
    ),
    "consistency": Format("regard.experiments.consist_report", "consistency", scenes_compared),
    "study": Format(
        "regard.experiments.studies.study", "study",
        lambda: (small_study(), small_study("other")), "tables",
    ),
    "score": Format("regard.experiments.score_report", "score", scored),
    "evaluation": Format("regard.experiments.evaluate_report", "evaluation", evaluated, "figures"),
    "training": Format("regard.zoo.checkpoint", "training", trained, "unet"),
}  # fmt: skip
FORMATS = {name: replace(each, made=cache(each.made)) for name, each in FORMATS.items()}

SCENES = Format("regard.data.coco", "scenes", cache(scenes))
"""Never replaced, even by its own kind: a data set has taken long."""

ELSEWHERE = {
    "regard.cli.polite": "a table: one file, renamed into its place",
    "regard.experiments.result": "where the kinds of results get their folder",
    "regard.experiments.plain_report": "kinds of one's own: tests/experiments/test_plain_report.py",
    "regard.experiments.store": "unfinished cases: tests/experiments/test_store.py",
    "regard.experiments.unfinished": "the folder of those: tests/experiments/test_store.py",
    "regard.zoo.latents": "latents: one file, renamed into its place",
}
"""Modules that write by `regard.saved` and are no kind of folder of their own."""

formats = pytest.mark.parametrize("kind", FORMATS.values(), ids=FORMATS)
all_formats = pytest.mark.parametrize("kind", [*FORMATS.values(), SCENES], ids=[*FORMATS, "scenes"])
either = pytest.mark.parametrize("overwrite", [False, True])


def contents(folder: Path) -> dict[str, str]:
    """A digest of every file by its name; empty for folders."""
    return {
        each.relative_to(folder).as_posix(): sha256(each.read_bytes()).hexdigest()
        if each.is_file()
        else ""
        for each in folder.rglob("*")
    }


@cache
def kept() -> tempfile.TemporaryDirectory[str]:
    """Where both of each kind are saved once."""
    return tempfile.TemporaryDirectory()


@cache
def kept_at(kind: Format, which: int) -> Path:
    """One of the two, saved into a new folder: it is there, and nothing is beside it."""
    above = Path(kept().name) / str(id(kind)) / str(which)
    above.mkdir(parents=True)
    kind.save(above / "out", which)
    assert [each.name for each in above.iterdir()] == ["out"]
    return above / "out"


@cache
def expected(kind: Format, which: int) -> dict[str, str]:
    """What saving one of the two writes."""
    return contents(kept_at(kind, which))


def saved(kind: Format, folder: Path) -> Path:
    """The first of the two, as if it had been saved there."""
    return Path(shutil.copytree(kept_at(kind, 0), folder))


def refused(kind: Format, folder: Path, message: str, *, overwrite: bool) -> None:
    """It is refused, and whatever lies there and beside it is as it was."""
    before = contents(folder.parent)
    with pytest.raises(OutputError, match=message) as raised:
        kind.save(folder, 1, overwrite=overwrite)
    assert "\n" not in str(raised.value)
    assert contents(folder.parent) == before


def test_every_module_that_writes_by_saved_is_tested_here():
    writers = set()
    for file in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        called = {
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            and str(node.module).startswith(("regard.saved", "regard.experiments.result"))
            for alias in node.names
        } | {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}
        if called & imported & {"SavedFolder", "Kind", "claim", "complete"}:
            writers.add(".".join(("regard", *file.relative_to(SOURCE).with_suffix("").parts)))
    ours = {each.home for each in [*FORMATS.values(), SCENES]} | set(ELSEWHERE)
    assert writers - {"regard.saved.folder"} == ours


@all_formats
def test_the_same_thing_saved_twice_is_the_same_to_the_byte(kind, tmp_path):
    kind.save(tmp_path / "out")
    assert contents(tmp_path / "out") == expected(kind, 0) != expected(kind, 1)


@formats
def test_its_own_kind_is_replaced_with_overwrite_and_not_without(kind, tmp_path):
    out = tmp_path / "out"
    saved(kind, out)
    again = rf"'{out}' holds an? {kind.what}\. Choose another folder, or overwrite=True \(--overwr"
    refused(kind, out, again, overwrite=False)
    kind.save(out, 1, overwrite=True)
    assert contents(out) == expected(kind, 1)
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


def test_scenes_are_never_replaced(tmp_path):
    saved(SCENES, tmp_path / "out")
    for overwrite in (False, True):
        refused(
            SCENES, tmp_path / "out", "exists; name a folder that does not", overwrite=overwrite
        )


@formats
@either
def test_something_of_the_users_in_it_is_never_replaced(kind, tmp_path, overwrite):
    out = tmp_path / "out"
    saved(kind, out)
    (out / "mine.txt").write_text("mine")
    refused(kind, out, rf"holds 'mine\.txt', which no {kind.what} wrote", overwrite=overwrite)
    if kind.inside is not None:
        (out / "mine.txt").unlink()
        place = f"{kind.inside}/mine.txt"
        (out / place).write_text("mine")
        refused(kind, out, f"holds '{place}', which no {kind.what} wrote", overwrite=overwrite)


@formats
@either
def test_what_is_of_no_kind_is_never_replaced(kind, tmp_path, overwrite):
    (tmp_path / "file").write_text("mine")
    refused(kind, tmp_path / "file", "is a file", overwrite=overwrite)
    for name in sorted(name for name in expected(kind, 0) if "/" not in name):
        there = tmp_path / f"with-{name}"
        there.mkdir()
        (there / name).write_text("{}")
        refused(kind, there, f"which no {kind.what} wrote", overwrite=overwrite)


@formats
def test_another_kind_is_never_replaced(kind, tmp_path):
    for name, other in [*FORMATS.items(), ("scenes", SCENES)]:
        if other.home != kind.home:
            saved(other, tmp_path / name / "out")
            refused(kind, tmp_path / name / "out", f"which no {kind.what} wrote", overwrite=True)


@pytest.mark.parametrize("kind", ["trace", "look"])
def test_another_programs_zarr_store_is_never_replaced(kind, tmp_path):
    rain = xr.Dataset({"rain": ("day", [1.0, 2.0])})
    rain.to_zarr(tmp_path / "out", zarr_format=3, consolidated=False)
    refused(FORMATS[kind], tmp_path / "out", "which no", overwrite=True)


@all_formats
def test_a_full_disk_leaves_what_was_there_and_nothing_new(kind, tmp_path):
    with full_at(2**30, tmp_path) as written:
        kind.save(tmp_path / "counted", 1)
    places = [tmp_path / "new"] if kind is SCENES else [tmp_path / "new", tmp_path / "out"]
    saved(kind, tmp_path / "out")
    for number in (0, len(written) // 2, len(written) - 1):
        for place in places:
            with full_at(number, tmp_path):
                refused(kind, place, f"'{place}' could not be written: No space", overwrite=True)


@formats
def test_ctrl_c_at_the_last_moment_leaves_what_was_there(kind, tmp_path, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    saved(kind, tmp_path / "out")
    monkeypatch.setattr("regard.saved.folder.swap", stop)
    for name in ("new", "out"):
        with pytest.raises(KeyboardInterrupt):
            kind.save(tmp_path / name, 1, overwrite=True)
    monkeypatch.undo()
    assert contents(tmp_path / "out") == expected(kind, 0)
    assert [each.name for each in tmp_path.iterdir()] == ["out"]


@all_formats
def test_killed_midway_nothing_half_written_is_there_and_the_same_call_mends_it(kind, tmp_path):
    """At every call of the file system: `tests/experiments/test_store.py`, on a toy."""
    kind.made()
    calls = calls_of(lambda: kind.save(tmp_path / "counted", 1))
    for number in (calls // 3, 2 * calls // 3):
        out = tmp_path / f"{number}" / "out"
        out.parent.mkdir()
        if kind is not SCENES:
            saved(kind, out)
        assert killed_at(number, lambda here=out: kind.save(here, 1, overwrite=True))
        there = contents(out) if out.exists() else None
        assert there in (None, expected(kind, 0), expected(kind, 1))
        if kind is not SCENES or there is None:
            kind.save(out, 1, overwrite=True)
        assert contents(out) == expected(kind, 1)
        assert [each.name for each in out.parent.iterdir()] == ["out"]


# ---------------------------------------------------------------- old versions


def as_version_1(trace):
    """A trace as the first version wrote it: self-attention apart, and a stage called a place."""
    old = lambda values: values.astype(np.float16).assign_attrs(  # noqa: E731
        {"place" if key == "stage" else key: each for key, each in values.attrs.items()}
    )
    nodes = {}
    for group, what, layers in (
        ("layers", "maps", trace.word_maps),
        ("weights", "weights", trace.self_attention),
    ):
        for number, (name, values) in enumerate(layers.items()):
            one = old(values)
            one.attrs = {key: one.attrs[key] for key in one.attrs if key not in ("stage", "of")}
            nodes[f"/{group}/{number:03d}-{name}"] = xr.Dataset({what: one}, attrs={"layer": name})
    new = tree_of(trace.layers, trace.tokens, trace.recipe, trace.image, trace.table)
    kept = [name for name in ("tokens", "words", "image") if name in new.children]
    nodes |= {f"/{name}": new[name].to_dataset() for name in kept}
    tree = xr.DataTree.from_dict(nodes)
    tree.attrs = {"format": "regard-trace", "version": 1, "recipe": json.dumps(trace.recipe)}
    tree.attrs["digest"] = digest(tree)
    return tree


@pytest.mark.parametrize("kind", ["words", "queries", "both"])
def test_a_trace_of_the_first_version_still_opens(kind, tmp_path):
    trace = replace(toy_trace(), table=word_table(toy_trace()))
    more = {} if kind == "words" else toy_vision().layers
    old = toy_vision() if kind == "queries" else replace(trace, layers={**trace.layers, **more})
    _to_zarr(as_version_1(old), tmp_path / "t.zarr")
    found = Trace.load(tmp_path / "t.zarr")
    assert found.tokens == old.tokens
    with open_layers(tmp_path / "t.zarr") as opened:
        assert list(found.layers) == list(opened.layers) == list(old.layers)
        for name, values in old.layers.items():
            assert found.layers[name].attrs == opened.layers[name].attrs == values.attrs
            np.testing.assert_allclose(found.layers[name], values, atol=5e-4)
    found.save(tmp_path / "again.zarr")
    assert Trace.load(tmp_path / "again.zarr").recipe == old.recipe
