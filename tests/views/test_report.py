import re

import pandas as pd
from PIL import Image

from regard.views import Plate, Section, report
from regard.views.report import MOST_ROWS, png_of, with_ends

SUMMARY = pd.DataFrame({"claim": ["<b> & it"], "verdict": ["holds"], "p": [0.01234]})


def made(**options):
    part = Section(
        "Heads & layers",
        ("Text with <tags>.",),
        {"small": pd.DataFrame({"x": [0.5, float("nan")]}), "long": pd.DataFrame({"x": range(99)})},
        {"square": Plate(Image.new("RGB", (2, 2)), 'A "square".')},
    )
    return report("What & why", [part], summary=SUMMARY, **options)


def test_text_is_never_markup():
    page = made(lead=["a < b"])
    assert "<td>&lt;b&gt; &amp; it</td>" in page
    assert "<p>Text with &lt;tags&gt;.</p>" in page
    assert "<p>a &lt; b</p>" in page
    assert 'alt="A &quot;square&quot;."' in page
    assert "<title>What &amp; why</title>" in page


def test_the_table_of_findings_comes_first_and_parts_can_be_reached():
    page = made()
    assert page.index('<strong class="holds">holds</strong>') < page.index("<nav>")
    for target in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{target}"' in page


def test_the_policy_allows_this_style_and_nothing_else():
    import base64
    import hashlib

    page = made()
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.S)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_long_tables_are_named_and_short_ones_shown():
    page = made()
    assert f"long.csv, {99} rows" in page
    assert MOST_ROWS < 99
    assert "small.csv</figcaption>" in page
    assert '<td class="number">–</td>' in page


def test_a_number_and_its_ends_become_one_cell():
    table = pd.DataFrame(
        {"x": [0.12345], "x_low": [0.1], "x_high": [0.2], "y_low": [1.0], "name": ["a"]}
    )
    shown = with_ends(table)
    assert shown.columns.tolist() == ["x", "y_low", "name"]
    assert shown["x"].tolist() == ["0.123 [0.1, 0.2]"]


def test_the_recipe_is_shown_in_plain_words():
    page = made(recipe={"size": [28, 28], "plan": {"images": 9, "scales": (0.5,)}, "quick": True})
    assert "<td>28, 28</td>" in page
    assert "<td>images 9, scales 0.5</td>" in page


def test_the_same_input_gives_the_same_bytes():
    assert made() == made()
    from matplotlib.figure import Figure

    assert png_of(Figure(figsize=(1, 1))) == png_of(Figure(figsize=(1, 1)))
    assert png_of(b"given") == b"given"
