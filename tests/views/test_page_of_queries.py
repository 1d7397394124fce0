"""What the page of an image is given, and what a reader does with it."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reader import Reader
from regard.trace import Trace, labelled_layer, toy_vision
from regard.views import page
from regard.views.payload import payload

PREFIX, GRID, HEADS, LAYERS = ["cls", "register.1"], (3, 5), 2, 3
TOKENS = len(PREFIX) + 15


def rows(seed: int, queries: int = TOKENS) -> np.ndarray:
    scores = np.exp(np.random.default_rng(seed).normal(size=(1, HEADS, queries, TOKENS)))
    return scores / scores.sum(-1, keepdims=True)


@pytest.fixture(scope="module")
def trace() -> Trace:
    """Three layers of a picture that is not square, with a class token and a register.

    Here it takes the place of the trace of a prompt, so that `file` and `reader` show it.
    """
    weights = {
        f"layers.{i}.attention": labelled_layer(rows(i), grid=GRID, prefix=PREFIX, patch=(8, 8))
        for i in range(LAYERS)
    }
    image = np.zeros((24, 40, 3), np.uint8)
    recipe = {
        "model": "tiny",
        "size": [24, 40],
        "labels": ["cat", "<b>dog</b>"],
        "prediction": [["<b>dog</b>", 0.9], ["cat", 0.1]],
        "interpolation": {"from": [3, 3], "to": [3, 5], "mode": "bicubic", "by": "transformers"},
        "parity_error": 2.4e-07,
    }
    return Trace(weights, (), recipe, image)


def test_queries_are_the_named_tokens_and_then_the_patches_row_by_row(trace: Trace):
    data = payload(trace)
    names = [query["name"] for query in data["entries"]]
    assert names[:5] == ["cls", "register.1", "mean", "patch 0, 0", "patch 0, 1"]
    assert (data["patches"], len(names)) == ({"first": 3, "grid": [3, 5]}, 3 + 15)
    assert data["entries"][3 + 7]["cell"] == (1, 2)
    assert data["entries"][3 + 7]["python"] == "(1, 2)"


def test_the_tiles_hold_the_attention_of_the_trace():
    data = payload(toy_vision())
    packed = np.frombuffer(base64.b64decode(data["tiles"]), np.uint8)
    lows, spans, before = (
        np.frombuffer(base64.b64decode(data[name]), np.float32)
        for name in ("lows", "spans", "before")
    )
    # Layer 1, head 1, the class token: six queries (cls, mean, four patches), four patches each.
    layer = data["layers"][1]
    at = 1 * 6 + 0
    tile = packed[layer["firstByte"] + 4 * at :][:4]
    low, span = lows[layer["firstRange"] + at], spans[layer["firstRange"] + at]
    np.testing.assert_allclose((low + tile / 255 * span) * 16, [1, 5, 1, 5], rtol=1e-6)
    assert before[layer["firstRange"] + at] * 16 == 4


@pytest.mark.parametrize(
    ("budget", "heads", "queries", "said"),
    [
        (10_000, 2, 18, []),
        (900, 1, 18, ["To keep this page small, heads are averaged in it."]),
        (300, 2, 3, ["To keep this page small, single patches are not queries in it."]),
        (100, 1, 3, ["heads are averaged in it, and patches are no queries."]),
    ],
)
def test_a_page_that_would_be_too_large_says_what_was_left_out(
    trace: Trace, budget: int, heads: int, queries: int, said: list[str]
):
    data = payload(trace, budget=budget)
    assert (len(data["layers"][0]["heads"]), len(data["entries"])) == (heads, queries)
    assert len(data["notices"]) == 2 * len(said)
    assert all(each in " ".join(data["notices"]) for each in said)


def test_rows_that_were_not_kept_are_no_queries():
    few = labelled_layer(rows(0, 1), grid=GRID, prefix=PREFIX, queries=[0])
    data = payload(Trace({"0": few}, (), {"model": "tiny"}))
    assert [query["name"] for query in data["entries"]] == ["cls"]
    assert data["patches"] is None
    assert data["image"] is None
    assert data["table"]["rows"] == []


def test_a_pooling_head_is_pointed_at_or_shown_alone():
    own = labelled_layer(rows(0)[..., 2:, 2:], grid=GRID)
    pool = labelled_layer(rows(1, 1)[..., 2:], grid=GRID, kind="pool")
    both = payload(Trace({"0": own, "head": pool}, (), {}))
    assert len(both["layers"]) == 1
    assert both["notices"] == [
        'The pooling head is not on this page; ask the trace: trace.attention("probe").'
    ]
    alone = payload(Trace({"head": pool}, (), {}))
    assert [query["name"] for query in alone["entries"]] == ["probe"]


def test_the_same_trace_gives_the_same_bytes(trace: Trace):
    assert page(trace) == page(replace(trace))
    assert "<title>&lt;b&gt;dog&lt;/b&gt; · regard</title>" in page(trace)
    assert "<b>dog" not in page(trace)


# ---------------------------------------------------------------- in a browser


def value_at(reader: Reader, panel: str, y: int, x: int) -> float:
    """What the page says that a patch gets."""
    reader.point(panel, (y + 0.5) / GRID[0], (x + 0.5) / GRID[1])
    said = reader.part("patch-note").inner_text()
    assert said.startswith(f"Patch y {y}, x {x} of 3×5 gets ")
    return float(said.split(" gets ")[1].split(";")[0])


def close(heat: Any) -> Any:
    return pytest.approx(heat, abs=0.004, rel=0.01)


def test_it_opens_on_the_class_token(reader: Reader, trace: Trace):
    assert reader.panels() == ["cls"]
    assert value_at(reader, "cls", 1, 3) == close(trace.attention("cls").values[1, 3])
    assert reader.tab.inner_text(".run").replace("\u00a0", " ").endswith("<b>dog</b> 90.0%")


def test_a_click_on_a_patch_shows_where_it_looks(reader: Reader, trace: Trace):
    reader.tab.mouse.click(*reader.at("cls", 2.5 / 3, 4.5 / 5))
    reader.settle()
    assert reader.panels() == ["patch 2, 4"]
    assert reader.caption("query") == "patch 2, 4"
    for y, x in ((0, 0), (1, 2), (2, 4)):
        assert value_at(reader, "patch 2, 4", y, x) == close(trace.attention((2, 4)).values[y, x])


def test_what_goes_to_no_patch_stands_beside(reader: Reader, trace: Trace):
    reader.slide("layer", 1)
    reader.slide("head", 1)
    heat = trace.attention("cls", layers="layers.1.attention", heads=1)
    ranks = dict(reader.ranks())
    assert list(ranks) == ["cls", "register.1", "15 patches"]
    for name, share in heat.attrs["prefix_mass"].items():
        assert ranks[name] == pytest.approx(share, rel=1e-4)
    assert ranks["15 patches"] == pytest.approx(heat.sum().item(), abs=0.005)


def test_layers_and_heads_choose_what_the_trace_would(reader: Reader, trace: Trace):
    reader.click('.thumb[data-layer="2"][data-head="1"]')
    assert (reader.caption("layer"), reader.caption("head")) == ("layers.2.attention", "head 1")
    heat = trace.attention("cls", layers="layers.2.attention", heads=1)
    assert value_at(reader, "cls", 0, 4) == close(heat.values[0, 4])


def test_a_query_has_one_scale_for_all_layers_and_heads(reader: Reader, trace: Trace):
    reader.click('[data-part="scale"] [data-value="own"]')
    reader.slide("layer", 0)
    reader.slide("head", 0)
    first = reader.part("scale-max").inner_text()
    reader.slide("layer", 2)
    assert reader.part("scale-max").inner_text() == first
    top = max(
        trace.attention("cls", layers=name, heads=head).max().item()
        for name in trace.self_attention
        for head in range(HEADS)
    )
    assert float(first) == pytest.approx(top, rel=0.01)
    reader.click('[data-part="scale"] [data-value="shared"]')
    assert "shared by all queries, layers, heads" in reader.caption("scale")


def test_arrow_keys_walk_from_patch_to_patch_and_escape_goes_back(reader: Reader):
    reader.part("stage").focus()
    for key in ("ArrowRight", "ArrowUp", "ArrowUp"):
        reader.press(key)
    assert reader.panels() == ["patch 0, 3"]
    reader.press("Escape")
    assert reader.panels() == ["cls"]


def test_shift_click_compares_and_a_token_is_chosen_by_its_name(reader: Reader):
    reader.word("register.1")
    reader.tab.keyboard.down("Shift")
    reader.tab.mouse.click(*reader.at("register.1", 0.5 / 3, 0.5 / 5))
    reader.tab.keyboard.up("Shift")
    reader.settle()
    assert reader.panels() == ["register.1", "patch 0, 0"]


def test_python_that_is_copied_reproduces_the_view(reader: Reader, trace: Trace):
    reader.tab.mouse.click(*reader.at("cls", 0.5, 0.5))
    reader.settle()
    reader.slide("layer", 1)
    line = reader.part("python").inner_text().splitlines()[-1]
    assert line == 'trace.attention((1, 2), layers="layers.1.attention")'
    assert value_at(reader, "patch 1, 2", 2, 2) == close(eval(line, {"trace": trace}).values[2, 2])
    reader.word("mean")
    assert reader.part("python").inner_text().splitlines()[-1].startswith('trace.attention("mean",')


def test_the_caption_tells_the_whole_story(reader: Reader):
    said = reader.part("caption").inner_text()
    for text in ("tiny", "24×40 pixels as the model saw them", "interpolated from 3×3 to 3×5",
                 "bicubic", "off the training", "<b>dog</b> 90.0%", "2.4e-07", "not renormalised",
                 "mean of 2 heads", "mean of 3 layers"):  # fmt: skip
        assert text in said


def test_the_prediction_is_a_table_and_words_are_not_spoken_of(reader: Reader):
    assert "<b>dog</b>" in reader.part("table").inner_text()
    shown = reader.tab.inner_text("body")
    assert "word" not in shown.lower()
    assert "step" not in shown.lower()


def test_the_link_brings_the_view_back(reader: Reader, browser: Any, file: Path):
    reader.tab.mouse.click(*reader.at("cls", 0.5, 0.5))
    reader.settle()
    reader.slide("head", 1)
    again = Reader(browser, file, "#" + reader.tab.url.partition("#")[2])
    assert again.panels() == ["patch 1, 2"]
    assert again.caption("head") == "head 1"
    again.tab.close()


def test_links_of_earlier_pages_still_open(browser: Any, file: Path):
    old = "#word=patch+1%2C+2&word=cls&layer=layers.1.attention&head=1"
    opened = Reader(browser, file, old)
    assert opened.panels() == ["patch 1, 2", "cls"]
    assert (opened.caption("layer"), opened.caption("head")) == ("layers.1.attention", "head 1")
    assert opened.tab.url.endswith(old)
    opened.tab.close()
