"""The viewer inside an element of somebody else's page: `regard.mount(element, data, options)`."""

import json
import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from reader import Reader
from regard.trace import Trace, toy_vision
from regard.views import page
from regard.views.page import PARTS, viewer_script, viewer_style
from regard.views.payload import payload

# What the host has of its own, named as the viewer's insides are.
HOST = """<!doctype html><html lang="en"><meta charset="utf-8"><title>host</title>
<style>body {{ margin: 3px }}</style>{style}
<p id="outside" class="legend row scale chip small num">A paragraph of the host.</p>
<input id="field" aria-label="field"><div id="one"><i>loading</i></div><div id="two"></div>
<script>
  const own = Object.getOwnPropertyNames(window);
  let frames = 0;
  const asked = window.requestAnimationFrame.bind(window);
  window.requestAnimationFrame = (act) => (frames++, asked(act));
  const prevented = [];
  window.addEventListener("keydown", (event) => prevented.push(event.defaultPrevented));
</script>
<script>{script}</script>
<script>const data = {data}, viewers = {{}};</script>
"""
NAMES = re.compile(r"^(?:async )?(?:function|class|const|let) (\w+)", re.M)


@pytest.fixture(scope="module")
def host(trace: Trace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page that has the viewer's script and style, and has mounted nothing yet."""
    path = tmp_path_factory.mktemp("host") / "host.html"
    data = json.dumps(
        {"words": payload(trace) | {"scale": "each"}, "queries": payload(toy_vision())}
    )
    text = HOST.format(
        style=f"<style>{viewer_style()}</style>",
        script=viewer_script(),
        data=data.replace("<", "\\u003c"),
    )
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def visitor(browser: Any, host: Path) -> Iterator[Reader]:
    """Who is at the host's page, whose link would mean something to a page of the viewer."""
    opened = Reader(browser, host, "#word=grass&step=5", viewport={"width": 1280, "height": 1000})
    yield opened
    opened.tab.close()
    assert opened.complaints == []


def mounted(visitor: Reader, where: str = "one", what: str = "words", **options: bool) -> Reader:
    """Mount a viewer; the reader of that viewer alone."""
    mount = """([where, what, options]) => {
        viewers[where] = regard.mount(document.getElementById(where), data[what], options);
    }"""
    visitor.tab.evaluate(mount, [where, what, options])
    visitor.settle()
    return visitor.within(f"#{where}")


def destroy(visitor: Reader, where: str = "one") -> None:
    visitor.tab.evaluate("where => viewers[where].destroy()", where)
    visitor.settle()


def click_patch(reader: Reader, panel: str, v: float, u: float) -> None:
    reader.canvas(panel).scroll_into_view_if_needed()
    reader.tab.mouse.click(*reader.at(panel, v, u))
    reader.settle()


def listeners(visitor: Reader, expression: str, depth: int = -1) -> list[str]:
    """What an object, and all below it, listen to, as the browser's debugger knows."""
    session = visitor.tab.context.new_cdp_session(visitor.tab)
    found = session.send("Runtime.evaluate", {"expression": expression})["result"]["objectId"]
    asked = {"objectId": found, "depth": depth}
    told = session.send("DOMDebugger.getEventListeners", asked)["listeners"]
    session.detach()
    return sorted(each["type"] for each in told)


def view_of(reader: Reader) -> list[Any]:
    """What one viewer shows."""
    caption = reader.part("caption").inner_text()
    return [reader.panels(), caption, reader.part("grid").is_checked(), reader.ranks()]


def test_two_viewers_on_one_page_are_independent(visitor: Reader):
    words, queries = mounted(visitor, "one"), mounted(visitor, "two", "queries")
    before = view_of(queries)
    words.word("grass")
    words.slide("step", 3)
    words.part("grid").check()
    click_patch(words, "grass", 0.2, 0.2)
    assert words.panels() == ["grass"]
    assert view_of(queries) == before
    after = view_of(words)
    click_patch(queries, "cls", 0.75, 0.25)
    queries.slide("layer", 1)
    assert queries.caption("query") == "patch 1, 0"
    assert view_of(words) == after


def test_two_viewers_of_the_same_data_are_independent(visitor: Reader):
    one, two = mounted(visitor, "one"), mounted(visitor, "two")
    one.word("grass")
    two.word("blue")
    assert (one.panels(), two.panels()) == (["grass"], ["blue"])


def test_keys_are_for_the_viewer_that_has_the_focus(visitor: Reader):
    one, two = (mounted(visitor, name, keyboard=True) for name in ("one", "two"))
    before = view_of(one)
    two.part("copy").focus()
    two.press("ArrowDown")
    assert two.caption("layer").startswith("down_blocks.0")
    assert view_of(one) == before


def test_keys_without_a_focus_are_for_the_viewer_used_last_and_at_first_for_the_first(
    visitor: Reader,
):
    one, two = (mounted(visitor, name, keyboard=True) for name in ("one", "two"))
    everything = one.caption("head")
    visitor.press("ArrowRight")
    assert (one.caption("head"), two.caption("head")) == ("head 0", everything)
    click_patch(two, "cat", 0.5, 0.5)  # takes no focus
    assert visitor.tab.evaluate("document.activeElement === document.body") is True
    visitor.press("ArrowRight")
    visitor.press("ArrowRight")
    assert (one.caption("head"), two.caption("head")) == ("head 0", "head 1")
    destroy(visitor, "two")
    visitor.press("ArrowRight")
    assert one.caption("head") == "head 1"


def test_keys_in_a_field_of_the_host_are_the_hosts(visitor: Reader):
    reader = mounted(visitor, keyboard=True)
    before = view_of(reader)
    visitor.tab.focus("#field")
    for key in ("g", "[", "ArrowDown", "Escape"):
        visitor.press(key)
    assert visitor.tab.input_value("#field") == "g["
    assert view_of(reader) == before


def test_without_the_keyboard_no_key_is_taken_and_none_is_named(visitor: Reader):
    reader = mounted(visitor)
    before = view_of(reader)
    for key in ("g", "ArrowDown", "]", "Escape"):
        visitor.press(key)
    assert visitor.tab.evaluate("prevented") == [False] * 4
    assert view_of(reader) == before
    assert not reader.part("keys").is_visible()


def test_a_viewer_in_a_shadow_root_hears_its_own_keys(visitor: Reader):
    mount = """() => {
        const inner = document.createElement("div");
        document.getElementById("two").attachShadow({ mode: "open" }).append(inner);
        regard.mount(inner, data.words, { keyboard: true });
    }"""
    visitor.tab.evaluate(mount)
    visitor.settle()
    reader = visitor.within("#two")  # a reader sees through an open shadow root
    reader.part("copy").focus()
    reader.press("ArrowRight")
    assert reader.caption("head") == "head 0"


@pytest.mark.parametrize("what", ["words", "queries"])
def test_destroy_leaves_nothing(visitor: Reader, what: str):
    targets = ("window", "document", "document.getElementById('one')")
    before = [listeners(visitor, target) for target in targets]
    reader = mounted(visitor, what=what, permalink=True, keyboard=True)
    visitor.tab.evaluate("window.root = document.getElementById('one').firstElementChild")
    assert "keydown" in listeners(visitor, "root")
    visitor.press("g")
    assert visitor.tab.evaluate("prevented") == [True]
    if what == "words":
        reader.click('[data-part="play"]')
    address = visitor.tab.url
    frames = visitor.tab.evaluate("() => { viewers.one.destroy(); return frames; }")
    assert visitor.tab.inner_html("#one") == ""
    assert listeners(visitor, "root") == []
    assert [listeners(visitor, target) for target in targets] == before
    # A frame is asked for by whatever changes a view: keys, play, and a new size of the stage.
    for key in ("g", "ArrowDown", "]", "Escape"):
        visitor.tab.keyboard.press(key)
    visitor.tab.set_viewport_size({"width": 700, "height": 700})
    visitor.tab.wait_for_timeout(400)  # play takes a step in 160 ms
    assert visitor.tab.evaluate("prevented") == [True] + [False] * 4
    assert visitor.tab.evaluate("frames") == frames
    assert visitor.tab.url == address
    destroy(visitor)  # a second time does nothing
    assert visitor.tab.inner_html("#one") == ""


def test_one_viewer_outlives_another(visitor: Reader):
    mounted(visitor, "one", keyboard=True)
    two = mounted(visitor, "two", keyboard=True)
    destroy(visitor, "one")
    two.word("grass")
    visitor.press("ArrowRight")
    assert (two.panels(), two.caption("head")) == (["grass"], "head 0")


def test_a_viewer_takes_the_place_of_the_one_that_its_element_had(visitor: Reader):
    mounted(visitor, keyboard=True)
    first = listeners(visitor, "document", depth=1)
    reader = mounted(visitor, what="queries", keyboard=True)
    assert reader.panels() == ["cls"]
    assert visitor.tab.locator("#one > *").count() == 1
    assert listeners(visitor, "document", depth=1) == first


def test_without_a_permalink_the_address_is_neither_read_nor_written(visitor: Reader):
    before = visitor.tab.evaluate("[location.href, history.length]")
    assert before[0].endswith("#word=grass&step=5")
    reader = mounted(visitor, keyboard=True)
    assert reader.panels() == ["cat"]
    assert reader.caption("step") == "mean of 30 steps"
    reader.word("blue")
    reader.slide("head", 2)
    reader.click('.thumb[data-layer="2"][data-head="1"]')
    visitor.press("Escape")
    assert visitor.tab.evaluate("[location.href, history.length]") == before


def test_with_a_permalink_the_address_is_the_view(visitor: Reader):
    reader = mounted(visitor, permalink=True)
    assert reader.panels() == ["grass"]
    assert reader.caption("step").startswith("step 5,")
    reader.word("blue")
    assert visitor.tab.evaluate("location.hash") == "#word=blue&step=5"


def test_nothing_leaks_to_the_window_but_one_name(visitor: Reader, browser: Any, tmp_path: Path):
    mounted(visitor)
    added = "Object.getOwnPropertyNames(window).filter((name) => !own.includes(name))"
    assert visitor.tab.evaluate(added) == []
    inside = files("regard.views") / "viewer"
    names = {
        name
        for part in PARTS
        for name in NAMES.findall((inside / part).read_text(encoding="utf-8"))
    }
    assert {"View", "Maps", "KINDS", "mount", "number", "copyPython"} <= names
    kinds = "names => Object.fromEntries(names.map((name) => [name, (0, eval)(`typeof ${name}`)]))"
    empty = browser.new_page()
    assert visitor.tab.evaluate(kinds, sorted(names)) == empty.evaluate(kinds, sorted(names))
    empty.close()
    assert visitor.tab.evaluate("Object.keys(regard)") == ["mount"]


def test_a_page_of_its_own_adds_no_name_to_the_window(reader: Reader, browser: Any, tmp_path: Path):
    path = tmp_path / "empty.html"
    path.write_text("<!doctype html><title>empty</title>", encoding="utf-8")
    empty = Reader(browser, path)
    names = "Object.getOwnPropertyNames(window).sort()"
    assert reader.tab.evaluate(names) == empty.tab.evaluate(names)
    empty.tab.close()


def test_the_host_keeps_its_looks(visitor: Reader, browser: Any, tmp_path: Path):
    read = """() => ["html", "body", "#outside", "#field"].map((name) => {
        const style = getComputedStyle(document.querySelector(name));
        return ["color", "backgroundColor", "margin", "padding", "font", "display", "border"]
            .map((property) => style[property]);
    })"""
    mounted(visitor)
    path = tmp_path / "bare.html"
    path.write_text(HOST.format(style="", script="", data="0"), encoding="utf-8")
    bare = Reader(browser, path)
    assert visitor.tab.evaluate(read) == bare.tab.evaluate(read)
    bare.tab.close()


@pytest.mark.parametrize("width", [360, 700, 1200])
def test_a_viewer_is_laid_out_by_the_width_of_its_element(visitor: Reader, width: int):
    visitor.tab.evaluate("width => (one.style.width = `${width}px`)", width)
    reader = mounted(visitor)
    stage, ranks = (reader.part(name).bounding_box() for name in ("stage", "ranks"))
    beside = stage["x"] + stage["width"] < ranks["x"]
    below = stage["y"] + stage["height"] < ranks["y"]
    assert (beside, below) == (width == 1200, width != 1200)
    assert visitor.tab.evaluate("one.scrollWidth") == width


def test_a_viewer_has_no_ids(visitor: Reader):
    mounted(visitor)
    mounted(visitor, "two", "queries")
    assert visitor.tab.locator("#one [id], #two [id]").count() == 0


def test_data_of_an_unknown_kind_is_refused_and_the_element_stays(visitor: Reader):
    attempt = """() => {
        try { regard.mount(document.getElementById("one"), { kind: "sounds" }); }
        catch (error) { return error.message; }
    }"""
    told = visitor.tab.evaluate(attempt)
    assert told == "regard.mount: data of kind sounds cannot be shown. Known: words, queries."
    assert visitor.tab.inner_html("#one") == "<i>loading</i>"


def test_a_page_shows_what_mount_shows(visitor: Reader, reader: Reader):
    mine = mounted(visitor, permalink=False, keyboard=True)
    read = "all => all.map((each) => each.outerHTML)"
    parts = [each.tab.eval_on_selector_all(".regard", read) for each in (mine, reader)]
    assert parts[0] == parts[1]


def test_a_trace_reaches_the_page_as_plain_json(make: Callable[..., Trace]):
    data = payload(make())
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert "regard.mount(" in page(make())
