"""The page in a real browser, opened from disk: what a reader does, and what must then be seen."""

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps
from scipy.stats import spearmanr

from reader import Reader
from regard.trace import Trace
from regard.views import page

UP = "up_blocks.2.attentions.0.transformer_blocks.0.attn2"
# Half a step of a byte, over the widest range that a map of a word has here.
CLOSE = 0.4 / 510


def test_a_click_on_a_word_shows_its_map_and_says_so(reader: Reader):
    reader.word("cat")
    cat = reader.picture("cat")
    reader.word("grass")
    assert reader.panels() == ["grass"]
    assert reader.picture("grass") != cat
    assert reader.caption("word") == "grass (gra + ss)"
    assert reader.tab.get_attribute('[data-chip="grass"]', "aria-pressed") == "true"
    assert reader.tab.get_attribute('[data-chip="cat"]', "aria-pressed") == "false"


def test_colours_are_the_values_of_the_trace_on_the_scale_shown(reader: Reader, trace: Trace):
    reader.word("cat")
    reader.click('[data-part="show"] [data-value="map"]')
    reader.click('[data-part="scale"] [data-value="view"]')
    heat = trace.heatmap("cat").values
    shares = heat / heat.max()
    for y, x in [(7, 8), (0, 0), (9, 3), (12, 12)]:
        shown = reader.colour("cat", (y + 0.5) / 16, (x + 0.5) / 16)
        expected = colormaps["magma"](shares[y, x], bytes=True)[:3]
        np.testing.assert_allclose(shown, expected, atol=6)
    assert reader.part("scale-min").inner_text() == "0"
    assert float(reader.part("scale-max").inner_text()) == pytest.approx(heat.max(), rel=0.01)
    assert "not comparable" in reader.caption("scale")


def test_a_word_has_one_scale_for_all_its_steps(reader: Reader, trace: Trace):
    reader.word("cat")
    reader.click('[data-part="scale"] [data-value="own"]')
    first = reader.part("scale-max").inner_text()
    assert float(first) == pytest.approx(trace.heatmap("cat").max().item(), rel=0.01)
    assert "the scale of “cat”" in reader.caption("scale")
    ends = []
    for at in range(3):
        reader.slide("step", at)
        ends.append(reader.part("scale-max").inner_text())
    steps = next(iter(trace.word_maps.values()))["step"].values
    highest = max(trace.heatmap("cat", steps=int(step)).max().item() for step in steps)
    assert len(set(ends)) == 1
    assert float(ends[0]) == pytest.approx(highest, rel=0.01)
    assert "over all steps" in reader.caption("scale")


def test_the_scale_of_all_words_is_the_same_for_every_word(reader: Reader, trace: Trace):
    reader.click('[data-part="scale"] [data-value="shared"]')
    ends = []
    for word in ("a", "cat", "grass"):
        reader.word(word)
        ends.append(reader.part("scale-max").inner_text())
    highest = max(trace.heatmap(word).max().item() for word in trace.word_names)
    assert len(set(ends)) == 1
    assert float(ends[0]) == pytest.approx(highest, rel=0.01)
    assert "shared by all words" in reader.caption("scale")


def test_pointing_at_a_patch_ranks_the_words_as_the_trace_does(reader: Reader, trace: Trace):
    reader.word("cat")
    for y, x in [(7, 8), (14, 8)]:
        reader.point("cat", (y + 0.5) / 16, (x + 0.5) / 16)
        expected = {word: trace.heatmap(word).values[y, x] for word in trace.word_names}
        ranks = reader.ranks()
        assert [name for name, _ in ranks] == sorted(expected, key=lambda word: -expected[word])
        for name, value in ranks:
            assert value == pytest.approx(expected[name], abs=CLOSE)
        assert f"Patch y {y}, x {x} of 16×16" in reader.part("patch-note").inner_text()


def test_a_click_locks_a_patch_and_a_second_click_frees_it(reader: Reader):
    reader.word("cat")
    average = reader.ranks()
    for locked in (True, False):
        reader.tab.mouse.click(*reader.at("cat", 0.5, 0.5))
        reader.tab.mouse.move(1, 1)
        reader.settle()
        assert (reader.ranks() != average) is locked
        assert ("locked" in reader.part("patch-note").inner_text()) is locked


def test_steps_layers_and_heads_choose_what_the_trace_would(reader: Reader, trace: Trace):
    reader.word("cat")
    reader.slide("step", 12)
    reader.slide("layer", 4)
    reader.slide("head", 3)
    assert reader.caption("step").startswith("step 12, t = ")
    assert (reader.caption("layer"), reader.caption("head")) == (UP, "head 3")
    assert reader.part("step").get_attribute("aria-valuetext").startswith("step 12")
    reader.point("cat", 7.5 / 16, 8.5 / 16)
    expected = trace.heatmap("cat", steps=12, layers=UP, heads=3).values[7, 8]
    assert dict(reader.ranks())["cat"] == pytest.approx(expected, abs=CLOSE)


def test_a_place_averages_its_layers_on_the_finest_grid(reader: Reader, trace: Trace):
    reader.word("grass")
    reader.click('[data-choice="up"]')
    reader.point("grass", 13.5 / 16, 8.5 / 16)
    expected = trace.heatmap("grass", layers="up").values[13, 8]
    assert dict(reader.ranks())["grass"] == pytest.approx(expected, abs=CLOSE)
    assert "16×16 tokens, nearest patches; coarser" in reader.caption("grid")


def test_a_thumbnail_chooses_its_layer_and_head(reader: Reader):
    reader.word("cat")
    reader.click('.thumb[data-layer="2"][data-head="1"]')
    assert reader.caption("layer").startswith("mid_block")
    assert reader.caption("head") == "head 1"
    assert reader.caption("grid") == "4×4 tokens, nearest patches"


def test_hover_previews_and_leaving_returns_to_what_was_locked(reader: Reader):
    reader.word("cat")
    reader.tab.hover('[data-chip="grass"]')
    reader.settle()
    assert reader.panels() == ["grass"]
    reader.tab.mouse.move(1, 1)
    reader.settle()
    assert reader.panels() == ["cat"]


def test_shift_click_adds_a_word_beside_the_first_and_escape_clears(reader: Reader):
    reader.word("cat")
    reader.word("grass", modifiers=["Shift"])
    assert reader.panels() == ["cat", "grass"]
    assert reader.picture("cat") != reader.picture("grass")
    reader.press("Escape")
    assert reader.panels() == [""]
    assert reader.caption("word") == "none chosen"


def test_keys_move_along_layers_heads_and_steps(reader: Reader):
    reader.word("cat")
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "]", "g"):
        reader.press(key)
    assert reader.caption("layer").startswith("down_blocks.0")
    assert reader.caption("head") == "head 1"
    assert reader.caption("step").startswith("step 0,")
    assert reader.part("grid").is_checked()
    for key in ("ArrowUp", "["):
        reader.press(key)
    assert reader.caption("layer").startswith("mean of 5 layers")
    assert reader.caption("step") == "mean of 30 steps"


def test_arrow_keys_move_the_patch_when_the_picture_has_the_focus(reader: Reader):
    reader.word("cat")
    reader.part("stage").focus()
    reader.press("ArrowRight")
    reader.press("ArrowUp")
    assert "Patch y 7, x 9 of 16×16" in reader.part("patch-note").inner_text()
    assert reader.caption("head") == "mean of 4 heads"


def test_play_walks_through_the_steps_and_stops(reader: Reader):
    reader.word("cat")
    reader.click('[data-part="play"]')
    # By a locator: the page forbids the eval by which a function would be asked again and again.
    later = reader.tab.locator('[data-caption="step"]').filter(has_text=re.compile("^step [1-9]"))
    later.wait_for()
    reader.click('[data-part="play"]')
    assert reader.part("play").get_attribute("aria-label") == "Play the steps"


def test_smooth_says_that_it_is_interpolated(reader: Reader):
    reader.word("cat")
    nearest = reader.picture("cat")
    reader.part("smooth").check()
    reader.settle()
    assert reader.picture("cat") != nearest
    assert "interpolated" in reader.caption("grid")


def test_it_opens_on_the_image_beside_the_most_concentrated_word(reader: Reader, trace: Trace):
    # "the" and "on" name nothing, "a" is everywhere, "cat" has the narrowest aim but one mark less
    # than "blue", which looks redundant.
    assert reader.panels() == ["cat"]
    image = reader.tab.locator("[data-plain] canvas")
    assert image.count() == 1
    read = """canvas => {
        const copy = new OffscreenCanvas(1, 1).getContext("2d");
        copy.drawImage(canvas, -Math.floor(canvas.width / 2), -Math.floor(0.95 * canvas.height));
        return [...copy.getImageData(0, 0, 1, 1).data].slice(0, 3);
    }"""
    assert image.evaluate(read) == [120, 176, 92]  # the lawn of the synthetic image
    boxes = [image.bounding_box(), reader.canvas("cat").bounding_box()]
    assert boxes[0]["x"] + boxes[0]["width"] < boxes[1]["x"]
    assert boxes[0]["y"] == boxes[1]["y"]


@pytest.mark.parametrize("word", ["cat", "blue", "grass"])
@pytest.mark.parametrize("show", ["overlay", "beside"])
def test_patches_are_read_back_through_the_colour_bar(
    reader: Reader, trace: Trace, word: str, show: str
):
    reader.word(word)
    reader.click(f'[data-part="show"] [data-value="{show}"]')
    read = reader.read_back(word, (16, 16))
    assert spearmanr(read, trace.heatmap(word).values.ravel()).statistic >= 0.95


def test_without_relief_the_overlay_is_the_map(reader: Reader):
    reader.word("grass")
    reader.click('[data-part="show"] [data-value="map"]')
    bare = reader.picture("grass")
    reader.click('[data-part="show"] [data-value="overlay"]')
    assert reader.picture("grass") != bare
    reader.part("relief").fill("0")
    reader.settle()
    for v, u in ((0.97, 0.53), (0.28, 0.41), (0.47, 0.22)):
        shown = reader.colour("grass", v, u)
        reader.click('[data-part="show"] [data-value="map"]')
        assert reader.colour("grass", v, u) == shown
        reader.click('[data-part="show"] [data-value="overlay"]')


def test_a_sink_does_not_darken_a_map_and_is_named(browser: Any, trace: Trace, tmp_path: Path):
    maps = trace.layers[UP].copy()
    ramp = np.linspace(0.001, 0.01, 256).reshape(16, 16)
    ramp[2, 5] = 0.8
    maps.loc[{"head": 1, "key": trace.tokens_of("cat")[0]}] = ramp.ravel()
    path = tmp_path / "page.html"
    path.write_text(page(replace(trace, layers={**trace.layers, UP: maps})), encoding="utf-8")
    reader = Reader(browser, path, viewport={"width": 1280, "height": 1000})
    reader.word("cat")
    reader.click('.thumb[data-layer="4"][data-head="1"]')
    # The 98th percentile of 256 values: the 250th of them; the sink stood among the lower ones, so
    # that is the 251st of the ramp, 0.001 + 0.009 * 250 / 255.
    assert reader.part("scale-max").inner_text() == "0.00982"
    assert reader.caption("sinks") == "y 2, x 5 takes 0.8"
    assert "the 98th percentile" in reader.caption("scale")
    assert reader.tab.inner_text('.thumb[data-layer="4"][data-head="1"] i') == "0.00982"
    assert spearmanr(reader.read_back("cat", (16, 16)), ramp.ravel()).statistic >= 0.95
    reader.point("cat", 2.5 / 16, 5.5 / 16)
    assert dict(reader.ranks())["cat"] == pytest.approx(0.8, abs=1e-6)
    reader.click('[data-part="scale"] [data-value="own"]')
    assert reader.tab.locator(".thumb i").count() == 0
    assert "One scale for all thumbnails" in reader.part("navigator-note").inner_text()
    reader.tab.close()
    assert reader.complaints == []


def test_a_page_opens_on_the_scale_that_was_asked_for(browser: Any, trace: Trace, tmp_path: Path):
    path = tmp_path / "page.html"
    path.write_text(page(trace, scale="shared"), encoding="utf-8")
    reader = Reader(browser, path)
    assert "shared by all words" in reader.caption("scale")
    reader.tab.close()


@pytest.fixture
def read(browser: Any, trace: Trace, tmp_path: Path):
    """A reader of the page of a model whose words are read at the next token too."""
    told = {"carriers": True, "layers": ["up_blocks.2"], "why": "measured for toy"}
    path = tmp_path / "page.html"
    path.write_text(page(replace(trace, recipe={**trace.recipe, "reading": told})), "utf-8")
    reader = Reader(browser, path)
    yield reader
    reader.tab.close()
    assert reader.complaints == []


def test_it_opens_with_words_read_as_heatmaps_read_them(read: Reader, trace: Trace):
    for word, told in (
        ("cat", "cat and the next token, on"),
        ("the", "the and the next token, gra"),
    ):
        read.word(word)
        assert read.caption("word") == told
        assert read.caption("layer").startswith("mean of 1 up_blocks.2 layer")
        line = read.part("python").inner_text().splitlines()[-1]
        assert line == f'trace.heatmap("{word}", carriers=True, layers=["up_blocks.2"])'
        heat = eval(line, {"trace": trace}).values
        top = heat.max()
        assert float(read.part("scale-max").inner_text()) == pytest.approx(top, rel=0.01)
        read.click('[data-part="show"] [data-value="map"]')
        for y, x in [(7, 8), (13, 3)]:
            expected = colormaps["magma"](heat[y, x] / top, bytes=True)[:3]
            shown = read.colour(word, (y + 0.5) / 16, (x + 0.5) / 16)
            np.testing.assert_allclose(shown, expected, atol=6)


def test_even_attention_is_marked_for_as_many_tokens_as_are_read(read: Reader):
    read.word("cat")
    assert "even attention to all tokens, 2 of 10 = 0.2" in read.caption("scale")
    read.part("next").uncheck()
    read.settle()
    assert "even attention to all tokens, 1 of 10 = 0.1" in read.caption("scale")


def test_words_can_be_read_at_their_own_token_and_in_all_layers(read: Reader, trace: Trace):
    read.word("cat")
    read.part("next").uncheck()
    read.click('[data-part="groups"] [data-choice="all"]')
    assert read.caption("word") == "cat"
    assert read.part("python").inner_text().endswith('trace.heatmap("cat")')
    top = trace.heatmap("cat").max().item()
    assert float(read.part("scale-max").inner_text()) == pytest.approx(top, rel=0.01)


def test_a_link_tells_how_words_were_read(read: Reader, browser: Any):
    read.word("cat")
    read.part("next").uncheck()
    read.click('[data-part="groups"] [data-choice="all"]')
    path, _, fragment = read.tab.url.partition("#")
    again = Reader(browser, Path(path.removeprefix("file://")), f"#{fragment}")
    assert (again.caption("word"), again.part("next").is_checked()) == ("cat", False)
    assert again.caption("layer").startswith("mean of 5 layers")
    again.tab.close()


def test_a_patch_counts_every_token_once_however_words_are_read(read: Reader, trace: Trace):
    read.word("cat")
    read.point("cat", 7.5 / 16, 8.5 / 16)
    heat = trace.heatmap("cat", layers="up_blocks.2").values[7, 8]
    assert dict(read.ranks())["cat"] == pytest.approx(heat, abs=CLOSE)


def test_special_tokens_wait_behind_their_switch(reader: Reader, trace: Trace):
    start = reader.tab.locator('[data-chip="[start]"]')
    assert not start.is_visible()
    reader.part("show-special").check()
    reader.settle()
    assert start.inner_text() == "start0.727"
    assert ("[start]") in dict(reader.ranks())
    reader.word("[start]")
    reader.click('[data-part="scale"] [data-value="shared"]')
    assert "special tokens" in reader.caption("scale")


def test_the_caption_tells_the_whole_story(reader: Reader):
    said = reader.part("caption").inner_text()
    for word in ("openmoji", "a blue cat on the grass", "seed 7", "30 steps", "guidance 4",
                 "DDIMScheduler", "2.4e-07", "cross-attention", "mean of 4 heads"):  # fmt: skip
        assert word in said


def test_redundant_words_are_marked_with_their_evidence(reader: Reader):
    a = reader.tab.locator('[data-chip="a"]')
    assert a.get_attribute("data-mark") == "verified"
    assert "image change 0.004" in a.get_attribute("title")
    row = reader.tab.locator('tr[data-row="a"]')
    assert row.get_attribute("data-mark") == "verified"
    assert "redundant" in row.inner_text()
    assert reader.tab.locator('tr[data-row="blue"]').get_attribute("data-mark") == ""


def test_text_that_the_encoder_cut_is_shown(browser: Any, unverified: Trace, tmp_path: Path):
    path = tmp_path / "page.html"
    path.write_text(page(unverified), encoding="utf-8")
    reader = Reader(browser, path)
    assert "in front of a snowy mountain" in reader.caption("cut")
    assert reader.tab.inner_text(".cut") == "in front of a snowy mountain"
    reader.tab.close()


def test_python_that_is_copied_reproduces_the_view(reader: Reader, trace: Trace):
    reader.word("cat")
    reader.slide("step", 3)
    reader.click('[data-choice="down"]')
    line = reader.part("python").inner_text().splitlines()[-1]
    assert line == 'trace.heatmap("cat", steps=3, layers="down")'
    heat = eval(line, {"trace": trace})
    reader.point("cat", 5.5 / 16, 5.5 / 16)
    assert dict(reader.ranks())["cat"] == pytest.approx(heat.values[5, 5], abs=CLOSE)


def test_the_link_brings_the_view_back(reader: Reader, browser: Any, file: Path):
    reader.word("grass")
    reader.slide("step", 5)
    reader.click('[data-choice="mid"]')
    fragment = "#" + reader.tab.url.partition("#")[2]
    again = Reader(browser, file, fragment)
    assert again.panels() == ["grass"]
    assert again.caption("step").startswith("step 5,")
    assert again.caption("layer").startswith("mean of 1 mid layer")
    again.tab.close()


def test_links_of_earlier_pages_still_open(browser: Any, file: Path):
    old = "#word=grass&word=cat&step=5&layer=mid&head=1"
    opened = Reader(browser, file, old)
    assert opened.panels() == ["grass", "cat"]
    assert opened.caption("step").startswith("step 5,")
    assert opened.caption("layer").startswith("mean of 1 mid layer")
    assert opened.caption("head") == "head 1"
    assert opened.tab.url.endswith(old)
    opened.tab.close()


def test_a_view_is_saved_as_a_picture_and_the_words_as_a_table(
    reader: Reader, trace: Trace, tmp_path: Path
):
    reader.word("cat")
    with reader.tab.expect_download() as png:
        reader.tab.click('[data-part="png"]')
    assert png.value.suggested_filename == "cat.png"
    assert Path(png.value.path()).read_bytes().startswith(b"\x89PNG")
    with reader.tab.expect_download() as table:
        reader.tab.click('[data-part="csv"]')
    with Path(table.value.path()).open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    words = trace.words()
    assert [row["word"] for row in rows] == words["word"].tolist()
    assert [float(row["mass"]) for row in rows] == words["mass"].tolist()


def test_markup_in_a_prompt_is_shown_as_text(browser: Any, make: Any, tmp_path: Path):
    prompt = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    path = tmp_path / "page.html"
    path.write_text(page(make(prompt=prompt, cut=prompt, model=prompt)), encoding="utf-8")
    reader = Reader(browser, path)
    assert reader.caption("prompt") == prompt
    assert reader.tab.title().endswith(" · regard")
    assert reader.tab.locator("#regard img, #regard script").count() == 0
    assert reader.complaints == []
    reader.tab.close()


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_window(browser: Any, file: Path, width: int):
    reader = Reader(browser, file, viewport={"width": width, "height": 800})
    assert reader.tab.evaluate("document.documentElement.scrollWidth") <= width
    reader.tab.close()
