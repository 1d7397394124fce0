"""The page of a generated image whose patches' own attention was kept, beside the words."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reader import Reader
from regard.trace import Trace, labelled_layer
from regard.trace.labels import beside, path_of
from regard.views import page
from regard.views.payload import payload

POINTS = [[0.3, 0.25], [0.9, 0.6]]
GRIDS = {"down.attn1": (16, 16), "mid.attn1": (4, 4)}


def rows_of(trace: Trace, grid: tuple[int, int], prefix: int, queries: list[int] | None) -> Any:
    """Random self-attention at the steps of a trace, of all patches or of some; rows sum to 1."""
    steps = len(next(iter(trace.layers.values()))["step"])
    keys = prefix + grid[0] * grid[1]
    shape = (steps, 2, keys if queries is None else len(queries))
    return np.random.default_rng(keys).dirichlet(np.full(keys, 0.5), size=shape)


def with_patches(trace: Trace, *, whole: bool = False, text: bool = False) -> Trace:
    """A trace of words that has self-attention of two points, or of every patch, too."""
    prefix = ["text"] if text else []
    first = next(iter(trace.layers.values()))
    layers = {}
    for name, (rows, columns) in GRIDS.items():
        cells = [int(v * rows) * columns + int(u * columns) for v, u in POINTS]
        queries = None if whole else [len(prefix) + cell for cell in cells]
        layers[name] = labelled_layer(
            rows_of(trace, (rows, columns), len(prefix), queries),
            grid=(rows, columns),
            prefix=prefix,
            queries=queries,
            stage=name.partition(".")[0],
            steps=first["step"].values.tolist(),
            timesteps=first["timestep"].values.tolist(),
        )
    kept = {"self_attention": {"patches": "all" if whole else POINTS, "layers": list(GRIDS)}}
    both = beside(trace.layers, layers)
    return replace(trace, layers=both, recipe={**trace.recipe, **kept})


@pytest.fixture(scope="module")
def patched(trace: Trace) -> Trace:
    return with_patches(trace)


@pytest.fixture(scope="module")
def file(patched: Trace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("patches") / "page.html"
    path.write_text(page(patched), encoding="utf-8")
    return path


@pytest.fixture
def reader(browser: Any, file: Path) -> Iterator[Reader]:
    opened = Reader(browser, file, viewport={"width": 1280, "height": 1000})
    yield opened
    opened.tab.close()
    assert opened.complaints == []
    assert opened.requests == [file.as_uri()]


# ---------------------------------------------------------------- what the page is given


def test_the_words_come_first_and_are_as_on_a_page_without_patches(trace: Trace, patched: Trace):
    plain, both = payload(trace), payload(patched)
    words = len(plain["entries"])
    assert both["kind"] == "words"
    assert both["entries"][:words] == plain["entries"]
    assert [each["name"] for each in both["entries"][words:]] == [
        "patch 0.3, 0.25",
        "patch 0.9, 0.6",
    ]
    assert {each["of"] for each in both["entries"][words:]} == {"patches"}
    assert both["layers"][: len(plain["layers"])] == plain["layers"]
    assert both["tiles"].startswith(plain["tiles"][:1000])
    assert both["patches"] is None


def test_the_tiles_of_a_patch_are_its_attention(patched: Trace):
    data = payload(patched)
    packed = np.frombuffer(base64.b64decode(data["tiles"]), np.uint8)
    lows, spans = (np.frombuffer(base64.b64decode(data[n]), "<f4") for n in ("lows", "spans"))
    layer = data["layers"][-1]
    assert (layer["name"], layer["of"], layer["grid"]) == ("mid.attn1", "patches", [4, 4])
    step, head, column = 2, 1, 1
    at = (step * len(layer["heads"]) + head) * layer["columns"] + column
    tile = packed[layer["firstByte"] + 16 * at :][:16].reshape(4, 4)
    low, span = lows[layer["firstRange"] + at], spans[layer["firstRange"] + at]
    heat = patched.attention((0.9, 0.6), layers="mid.attn1", steps=step, heads=head).values
    # What lies above the range of the tile is kept apart.
    shown = np.minimum(heat, low + span)
    assert np.abs(low + tile / 255 * span - shown).max() <= span / 510 + 1e-6


def test_every_patch_can_be_pointed_at_where_all_were_kept(trace: Trace):
    data = payload(with_patches(trace, whole=True))
    first = data["patches"]["first"]
    rows, columns = data["patches"]["grid"]
    names = [each["name"] for each in data["entries"][first:]]
    assert names[0] == f"patch 0, 0 of {rows}×{columns}"
    assert len(names) == rows * columns


def test_a_page_too_small_for_every_patch_has_those_of_a_coarser_grid(trace: Trace):
    data = payload(with_patches(trace, whole=True), budget=400_000)
    assert data["patches"]["grid"] == [4, 4]
    assert any("patches of 4×4 stand for finer ones" in notice for notice in data["notices"])


def test_layers_of_joint_attention_are_there_twice(trace: Trace):
    twice = with_patches(trace, text=True)
    words = list(trace.layers)[0]
    own = list(twice.self_attention.values())[0]
    joint = replace(twice, layers=beside(trace.layers, {words: own}))
    assert [path_of(name) for name in joint.layers].count(words) == 2
    data = payload(replace(joint, recipe=twice.recipe))
    assert [layer["of"] for layer in data["layers"] if layer["name"] == words] == [
        "words", "patches",
    ]  # fmt: skip
    assert data["prefix"] == ["text"]


# ---------------------------------------------------------------- in a browser


def test_a_kept_patch_is_chosen_by_its_chip(reader: Reader, patched: Trace):
    reader.word("patch 0.3, 0.25")
    assert reader.panels() == ["patch 0.3, 0.25"]
    assert reader.caption("patch") == "patch 0.3, 0.25"
    # Layers of two grids: the map of the coarse one is enlarged and keeps its sum.
    heat = patched.attention((0.3, 0.25))
    top = float(reader.part("scale-max").inner_text())
    ordered = np.sort(heat.values.ravel())
    high = ordered[int(0.98 * (len(ordered) - 1))]
    expected = high if high < ordered[-1] / 2 else ordered[-1]
    assert top == pytest.approx(expected, rel=0.02)
    assert "self-attention weights" in reader.caption("method")
    assert reader.part("patch-title").inner_text() == "This patch attends to"


def test_a_click_on_a_kept_patch_shows_it_beside_the_word(reader: Reader, patched: Trace):
    (word,) = reader.panels()
    reader.tab.mouse.click(*reader.at(word, 0.31, 0.28))
    reader.settle()
    assert reader.panels() == [word, "patch 0.3, 0.25"]
    assert word in reader.caption("beside")
    for line in reader.part("python").inner_text().splitlines()[-2:]:
        assert eval(line, {"trace": patched}).dims == ("y", "x")
    reader.tab.mouse.click(*reader.at(word, 0.31, 0.28))
    reader.settle()
    assert reader.panels() == [word]


def test_a_patch_that_was_not_kept_is_locked_as_before(reader: Reader):
    (word,) = reader.panels()
    reader.tab.mouse.click(*reader.at(word, 0.6, 0.1))
    reader.settle()
    assert reader.panels() == [word]
    reader.tab.mouse.move(1, 1)
    reader.settle()
    assert "locked" in reader.part("patch-note").inner_text()


def test_words_and_patches_keep_layers_and_heads_of_their_own(reader: Reader, patched: Trace):
    words = reader.part("layer").get_attribute("max")
    reader.word("patch 0.9, 0.6")
    assert reader.part("layer").get_attribute("max") == "1" != words
    reader.slide("layer", 1)
    reader.slide("head", 1)
    reader.slide("step", 3)
    assert (reader.caption("layer"), reader.caption("head")) == ("mid.attn1", "head 1")
    line = reader.part("python").inner_text().splitlines()[-1]
    assert line == 'trace.attention((0.9, 0.6), steps=3, layers="mid.attn1", heads=1)'
    heat = eval(line, {"trace": patched})
    assert float(reader.part("scale-max").inner_text()) == pytest.approx(
        heat.max().item(), rel=0.01
    )
    reader.word("cat")
    assert reader.part("layer").get_attribute("max") == words
    assert "attn1" not in reader.caption("layer")


def test_the_link_brings_a_patch_back(reader: Reader, browser: Any, file: Path):
    reader.word("patch 0.9, 0.6")
    reader.slide("layer", 1)
    again = Reader(browser, file, "#" + reader.tab.url.partition("#")[2])
    assert again.panels() == ["patch 0.9, 0.6"]
    assert again.caption("layer") == "mid.attn1"
    again.tab.close()


def test_where_text_is_attended_to_as_well_the_page_says_how_much(
    browser: Any, trace: Trace, tmp_path: Path
):
    joint = with_patches(trace, text=True)
    (tmp_path / "page.html").write_text(page(joint), encoding="utf-8")
    opened = Reader(browser, tmp_path / "page.html", viewport={"width": 1280, "height": 1000})
    opened.word("patch 0.9, 0.6")
    mass = joint.attention((0.9, 0.6)).attrs["prefix_mass"]["text"]
    said = opened.caption("elsewhere")
    assert said.startswith("it gives text ")
    assert float(said.rsplit(" ", 1)[1]) == pytest.approx(mass, rel=0.01)
    assert opened.complaints == []
    opened.tab.close()


def test_any_patch_is_clicked_where_all_were_kept(browser: Any, trace: Trace, tmp_path: Path):
    whole = with_patches(trace, whole=True)
    (tmp_path / "page.html").write_text(page(whole), encoding="utf-8")
    opened = Reader(browser, tmp_path / "page.html", viewport={"width": 1280, "height": 1000})
    (word,) = opened.panels()
    opened.tab.mouse.click(*opened.at(word, 0.6, 0.1))
    opened.settle()
    shown, patch = opened.panels()
    assert shown == word
    assert patch.startswith("patch ")
    assert opened.complaints == []
    opened.tab.close()
