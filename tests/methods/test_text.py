"""Methods in text: one grammar for the command line, the benchmark and tables."""

import pytest

from regard.errors import ArgumentError, UnknownName
from regard.methods import (
    Where,
    attend_and_excite,
    drop,
    parse,
    prompt_to_prompt,
    scale,
    scale_heads,
    temperature,
    uniform,
)
from regard.methods.text import spelled


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("drop words=cat", drop("cat")),
        ("  drop\twords=cat,dog  steps=0:10 ", drop(["cat", "dog"], where=Where(steps=range(10)))),
        ("drop words=cat where.steps=3", drop("cat", where=Where(steps=3))),
        ('drop words=cat where={"layers": "up"} steps=:4', drop("cat", where=Where([0, 4], "up"))),
        ('drop words=["cat", "a b"]', drop(["cat", "a b"])),
        ('drop words="true"', drop("true")),
        ("drop words=cat#2 layers=0,mid", drop("cat#2", where=Where(layers=[0, "mid"]))),
        ("drop words=3x3 layers=16x16", drop("3x3", where=Where(layers="16x16"))),
        ("scale weights.cat=2 weights.dog=-0.5", scale({"cat": 2.0, "dog": -0.5})),
        ('scale weights={"cat": 2} renormalise=True', scale({"cat": 2.0}, renormalise=True)),
        ("scale-heads layer=mid_block factors.0=0", scale_heads("mid_block", {0: 0.0})),
        ("temperature factor=2", temperature(2.0)),
        ("uniform kind=self", uniform(where=Where(kind="self"))),
        (
            'prompt-to-prompt prompt="a dog, on grass" cross.dog=0.4:1 local_blend=cat,dog',
            prompt_to_prompt(
                "a dog, on grass", cross={"dog": [0.4, 1]}, local_blend=["cat", "dog"]
            ),
        ),
        (
            "attend-and-excite words=cat thresholds={} padding=null",
            attend_and_excite("cat", thresholds={}),
        ),
    ],
)
def test_a_text_is_the_method_that_one_would_write(text, method):
    assert parse(text) == method
    assert parse(spelled(method)) == method


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", ArgumentError, "^methods.parse: the text is '' and must name a method"),
        ("dorp words=cat", UnknownName, "no method is named 'dorp'. Did you mean 'drop'"),
        ("drop", ArgumentError, "^drop: words is missing. Give it behind the name"),
        ("drop cat", ArgumentError, "^drop: 'cat' is no setting. Settings follow the name as"),
        ("drop words=", ArgumentError, "^drop: words= is neither JSON nor unquoted text"),
        ("drop words=[cat]", ArgumentError, r"^drop: words=\[cat\] is neither JSON nor unquoted"),
        ("drop words=cat,", ArgumentError, "^drop: words=cat, has an empty part"),
        ("drop words=cat words=dog", ArgumentError, "^drop: words comes twice. Give it once"),
        ("drop words=a steps=1 where.steps=1", ArgumentError, "where.steps comes twice"),
        ("scale weights.a=1 weights.a=2", ArgumentError, "weights.a comes twice"),
        ("drop words=cat step=3", UnknownName, "setting of drop is named 'step'. Did you mean 'st"),
        ("drop words=cat kind=self", UnknownName, "no setting of drop is named 'kind'"),
        ("choose-noise words=cat steps=3", UnknownName, "no setting of choose-noise is named"),
        ("drop words=cat steps=4:4", ArgumentError, r"^drop: steps=\[4, 4\] is an empty range"),
        ("temperature factor=0", ArgumentError, "^temperature: factor is 0.0 and must be"),
    ],
)
def test_a_mistake_is_one_line_with_a_cure(text, error, message):
    with pytest.raises(error, match=message) as raised:
        parse(text)
    assert "\n" not in str(raised.value)
