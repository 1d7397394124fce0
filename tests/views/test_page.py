import base64
import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd

from regard.measures.verdicts import judge
from regard.trace import Trace, toy_trace, toy_vision
from regard.views import page
from regard.views.page import PARTS
from regard.views.payload import payload

EVIL = "</script><script>alert(1)</script> <img src=x onerror=alert(1)> {{style}} & \u2028"


class Elements(HTMLParser):
    """The elements of a page, and the text of those that are scripts or styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.where = ""
        self.attributes: list[tuple[str, str | None]] = []
        self.inside: list[tuple[str, str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.where = tag
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        self.where = ""

    def handle_data(self, data: str) -> None:
        self.inside.append((self.where, data))


def data_of(html: str) -> dict[str, Any]:
    found = re.search(
        r'<script type="application/json" id="regard-data">(.*?)</script>', html, re.S
    )
    assert found is not None
    return json.loads(found[1])


def test_the_same_trace_gives_the_same_bytes(trace: Trace, make: Callable[..., Trace]):
    again = replace(make(), table=trace.table)
    assert page(trace) == page(again)


def test_a_typical_trace_stays_under_two_megabytes(trace: Trace):
    # 30 steps, 5 layers, 4 heads, 9 words: 656 bytes a step, head and word, and 4/3 for base64.
    assert 0.94e6 < 30 * 4 * 9 * 656 * 4 / 3 < len(page(trace).encode()) < 1.3e6


def test_text_of_the_prompt_stays_text(make: Callable[..., Trace]):
    harmless, evil = (page(make(prompt=prompt, cut=prompt)) for prompt in ("a cat", EVIL))
    assert Elements(evil).tags == Elements(harmless).tags
    assert data_of(evil)["prompt"] == data_of(evil)["cut"] == EVIL
    assert "<img" not in evil
    assert evil.count("\u2028") == 1  # in the title; in a script it would end a line


def test_the_file_names_no_other_file_and_forbids_the_network(trace: Trace):
    elements = Elements(page(trace))
    links = [value for name, value in elements.attributes if name in ("src", "href")]
    assert links == ["data:,"]
    policies = [value or "" for name, value in elements.attributes if name == "content"]
    policy = next(value for value in policies if "default-src" in value)
    assert policy.startswith("default-src 'none'; img-src data: blob:")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        text = next(text for where, text in elements.inside[::-1] if where == tag)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_every_script_of_the_viewer_is_joined_once_and_short():
    scripts = [each for each in (files("regard.views") / "viewer").iterdir() if ".js" in each.name]
    assert sorted(PARTS) == sorted(each.name for each in scripts)
    lines = {each.name: each.read_text(encoding="utf-8").count("\n") for each in scripts}
    assert {name: count for name, count in lines.items() if count > 300} == {}


def test_the_page_of_a_prompt_and_of_an_image_share_one_viewer(trace: Trace):
    words, queries = (Elements(page(each)).inside for each in (trace, toy_vision()))
    scripts = [
        [text for where, text in inside if where == "script"][-1] for inside in (words, queries)
    ]
    assert scripts[0] == scripts[1]


def test_the_tiles_hold_the_maps_of_the_trace():
    toy = toy_trace()
    data = data_of(page(toy))
    lows, spans = (
        np.frombuffer(base64.b64decode(data[name]), np.float32) for name in ("lows", "spans")
    )
    packed = np.frombuffer(base64.b64decode(data["tiles"]), np.uint8)
    cat = next(word for word in data["entries"] if word["name"] == "cat")
    mid = data["layers"][1]
    assert mid["grid"] == [2, 2]
    # Step 1, head 0 of two steps and two heads; eight words, four patches.
    at = (1 * 2 + 0) * 8 + cat["column"]
    tile = packed[mid["firstByte"] + 4 * at :][:4]
    low, span = lows[mid["firstRange"] + at], spans[mid["firstRange"] + at]
    np.testing.assert_allclose((low + tile / 255 * span) * 32, [6, 1, 6, 1], rtol=1e-6)


def test_words_come_in_prompt_order_and_special_tokens_after_them(trace: Trace):
    words = payload(trace)["entries"]
    names = [word["name"] for word in words]
    assert names == ["a", "blue", "cat", "on", "the", "grass", "[start]", "[end]", "[pad]"]
    assert words[5]["pieces"] == ["gra", "ss"]


def test_a_word_said_twice_shows_which_one_it_is():
    words = {word["name"]: word for word in payload(toy_trace())["entries"]}
    assert (words["a"]["text"], words["a"]["nth"]) == ("a", 1)
    assert (words["a#2"]["text"], words["a#2"]["nth"]) == ("a", 2)


def test_marks_say_what_verification_left_standing(trace: Trace, unverified: Trace):
    verified = {word["name"]: word["mark"] for word in payload(trace)["entries"]}
    looks = {word["name"]: word["mark"] for word in payload(unverified)["entries"]}
    assert (verified["a"], verified["blue"], verified["cat"], verified["the"]) == (
        "verified",
        "",
        "",
        "verified",
    )
    assert (looks["a"], looks["blue"], looks["cat"], looks["the"]) == ("looks", "looks", "", "")


def test_evidence_stands_with_the_word(trace: Trace):
    words = {word["name"]: word for word in payload(trace)["entries"]}
    assert words["blue"]["evidence"].startswith("needed at this seed; mass 0.04")
    assert "same map as cat" in words["blue"]["evidence"]
    assert "image change 0.129, threshold 0.1" in words["blue"]["evidence"]


def test_words_hidden_together_have_a_row_and_no_map(unverified: Trace):
    verification = pd.DataFrame(
        {
            "word": ["a", "the", "a + the"],
            "seed": 7,
            "kind": ["word", "word", "together"],
            "distance": [0.0, 0.0, 0.4],
            "pixel_distance": 0.0,
            "seen": "",
        }
    )
    told = payload(replace(unverified, table=judge(unverified.words(), verification)))
    marks = {word["name"]: word["mark"] for word in told["entries"]}
    assert "a + the" not in marks
    # A word that stands in for another is no more than suspect: one of the two is needed.
    assert (marks["a"], marks["the"]) == ("looks", "looks")
    (row,) = [row for row in told["table"]["rows"] if row["name"] == "a + the"]
    assert row["entry"] is None
    assert "needed together at this seed" in row["values"]


def test_a_column_of_the_future_is_shown_under_its_own_name(trace: Trace):
    table = trace.words().assign(lpips_of_word=0.5)
    columns = payload(replace(trace, table=table))["table"]["columns"]
    assert columns[-1]["label"] == "lpips of word"
    assert columns[-1]["numeric"] is True


def test_a_trace_without_image_or_table_has_a_page():
    data = data_of(page(replace(toy_trace(), image=None)))
    assert data["image"] is None
    assert data["table"]["note"] == "No table of words was stored with this trace."


def test_words_that_were_not_kept_have_no_map(trace: Trace):
    layers = {name: layer.sel(key=[3]) for name, layer in trace.layers.items()}
    few = replace(trace, layers=layers, table=None)
    words = {word["name"]: word for word in payload(few)["entries"]}
    assert words["cat"]["column"] == 0
    assert words["blue"]["column"] is None
    assert words["blue"]["evidence"] == "its maps were not kept"


def test_a_trace_too_large_for_a_page_says_what_was_averaged(trace: Trace):
    data = payload(trace, budget=66_000)
    assert data["notices"] == [
        "To keep this page small, heads are averaged in it.",
        "To keep this page small, every 3 steps are averaged in it.",
        "The trace has them all.",
    ]
    assert data["steps"][1]["label"] == "3–5"
    assert data["steps"][1]["python"] == "[3, 4, 5]"


def test_a_page_opens_with_words_read_as_the_trace_reads_them():
    trace = toy_trace()
    plain = payload(trace)
    assert (plain["carriers"], plain["sides"]["words"]["layer"]) == (False, "all")
    told = {"carriers": True, "layers": ["mid_block"], "why": "measured for toy"}
    data = payload(replace(trace, recipe={**trace.recipe, "reading": told}))
    assert (data["carriers"], data["sides"]["words"]["layer"]) == (True, "mid_block")
    *_, group = data["sides"]["words"]["groups"]
    assert (group["name"], group["layers"], group["python"]) == ("mid_block", [1], '["mid_block"]')
    assert group["title"] == "In these layers words are read (measured for toy)"


def test_the_token_after_a_word_is_the_map_of_the_word_that_it_is():
    words = {word["name"]: word for word in payload(toy_trace())["entries"]}
    assert words["cat"]["next"] == {"text": "and", "tokens": 1, "column": words["and"]["column"]}
    assert [words[name]["next"] for name in ("dog", "[end]")] == [None, None]


def test_the_token_after_a_word_has_a_map_where_it_is_only_the_first_of_its_word(trace: Trace):
    data = payload(trace)
    words = {word["name"]: word for word in data["entries"]}
    assert words["the"]["next"] == {"text": "gra", "tokens": 1, "column": len(words)}
    assert {layer["columns"] for layer in data["layers"]} == {len(words) + 1}


def test_without_the_map_of_the_next_token_a_word_is_read_at_its_own():
    trace = toy_trace()
    few = {name: layer.isel(key=[0, 2]) for name, layer in trace.layers.items()}
    assert all(word["next"] is None for word in payload(replace(trace, layers=few))["entries"])
