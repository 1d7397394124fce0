"""What a method can be given, from its signature and docstring."""

import math

import pytest

from regard.errors import UnknownName
from regard.methods import methods, options_of


def test_the_options_of_drop_by_hand():
    words, *where = options_of("drop")
    assert (words.name, words.required, words.default) == ("words", True, None)
    assert words.type == "str | Sequence[str]"
    assert words.about.startswith("A word of the prompt or several")
    names = ["where.steps", "where.layers", "where.stage", "where.condition"]
    assert [option.name for option in where] == names
    assert (where[-1].default, where[-1].required) == ("cond", False)


def test_defaults_are_those_of_the_signature():
    defaults = {option.name: option.default for option in options_of("smoothed-energy-guidance")}
    assert (defaults["scale"], defaults["sigma"]) == (3.0, math.inf)


@pytest.mark.parametrize("name", methods)
def test_every_option_of_every_method_is_explained(name):
    for option in options_of(name):
        assert option.about.endswith((".", ";")), option
        assert option.type


def test_a_method_that_there_is_not_has_no_options():
    with pytest.raises(
        UnknownName, match="no method is named 'scale_heads'. Did you mean 'scale-h"
    ):
        options_of("scale_heads")
