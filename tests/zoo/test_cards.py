import json

import pytest

from regard.errors import UnknownName
from regard.zoo import cards
from regard.zoo.cards import FIGURES, card, figures
from regard.zoo.recipe import recipe
from small_recipes import NAMES

OPENMOJI = ("OpenMoji", "CC BY-SA 4.0")
LICENCES = {"scenes": OPENMOJI, "scenes-2": OPENMOJI, "fashion-mnist": ("Fashion-MNIST", "MIT")}


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_what_it_is_how_it_was_made_and_under_which_licence(name):
    text = card(name)
    assert text.startswith(f"# {name}\n")
    assert f"`regard train {name}`" in text
    learnt_from, licence = LICENCES[recipe(name).data]
    assert learnt_from in text
    assert licence in text
    assert text.endswith("\n")


@pytest.mark.parametrize("name", NAMES)
def test_a_card_quotes_all_figures_that_were_measured_and_no_other(name):
    measured = figures(name)
    assert set(measured) <= set(FIGURES)
    rows = [line for line in card(name).splitlines() if line.startswith("| ")]
    assert len(rows) == (len(measured) + 1 if measured else 0)


def test_without_measured_figures_a_card_says_so(monkeypatch):
    monkeypatch.setattr(cards, "figures", lambda name: {})
    assert card("openmoji").endswith("## Figures\n\nNone measured yet.\n")


def test_a_figure_by_hand(monkeypatch):
    monkeypatch.setattr(cards, "figures", lambda name: json.loads('{"psnr_db": 29.5}'))
    (row,) = [line for line in card("openmoji-autoencoder").splitlines() if "psnr" in line]
    assert row == "| Reconstruction, peak signal-to-noise ratio (dB) | `psnr_db` | 29.5 |"


def test_there_is_no_card_of_an_unknown_model():
    with pytest.raises(UnknownName, match="Did you mean 'openmoji'"):
        card("openmojo")
