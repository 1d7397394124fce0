import sys

import pytest

from looks import pipeline
from regard import look, progress, steer
from regard.errors import ArgumentError
from regard.experiments.sweep import sweep
from regard.look import verify
from regard.methods import drop
from regard.progress import bar, check_progress, quiet, reporting
from regard.steering import learn_word_weights
from unchecked import unchecked

ONE = {"num_inference_steps": 1}


@pytest.fixture
def terminal(monkeypatch):
    """Standard error as a terminal."""
    monkeypatch.setenv("FORCE_COLOR", "1")


def counted(given):
    with reporting(given, "counting") as advance:
        advance(1, 2)
        advance(2, 2)


@pytest.mark.parametrize("given", [None, False])
def test_where_there_is_no_terminal_nothing_is_written(given, capsys):
    counted(given)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("given", [None, True])
def test_a_bar_is_shown_on_a_terminal_and_on_standard_error_alone(given, terminal, capsys):
    counted(given)
    out, written = capsys.readouterr()
    assert out == ""
    assert "counting" in written
    assert "2/2" in written


def test_a_bar_that_is_asked_for_is_written_anywhere(capsys):
    counted(True)
    assert "2/2" in capsys.readouterr().err


def test_a_bar_that_is_switched_off_is_not_shown_on_a_terminal(terminal, capsys):
    counted(False)
    assert capsys.readouterr().err == ""


def test_a_function_is_called_in_place_of_a_bar(terminal, capsys):
    calls = []
    counted(lambda *given: calls.append(given))
    assert calls == [(1, 2), (2, 2)]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("outer", [True, False, quiet])
def test_what_is_reported_already_gets_no_second_bar(outer, terminal, capsys):
    with reporting(outer, "outer"):
        counted(None)
    assert "counting" not in capsys.readouterr().err
    counted(None)
    assert "counting" in capsys.readouterr().err


def test_a_block_that_raises_leaves_nothing_reported(terminal, capsys):
    with pytest.raises(RuntimeError, match="boom"), bar("outer"):
        raise RuntimeError("boom")
    capsys.readouterr()
    counted(None)
    assert "counting" in capsys.readouterr().err


def test_a_notebook_shows_a_bar_where_it_has_widgets(monkeypatch):
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    there = [object()]
    monkeypatch.setattr(progress.importlib.util, "find_spec", lambda name: there[0])
    assert progress.has_display()
    there[0] = None
    assert not progress.has_display()


@pytest.mark.parametrize("wrong", ["yes", 1, 0, ["bar"]])
def test_another_type_is_refused_with_the_cure(wrong):
    with pytest.raises(ArgumentError, match=r"regard: progress is .* Leave it out for a bar on a"):
        check_progress(wrong)


WRONG = r": progress is 'yes' and must be True or False, for a bar or none, or a function of"


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("look", lambda: unchecked(look, None, "a cat", progress="yes")),
        ("steer", lambda: unchecked(steer, None, "a cat", [drop("cat")], progress="yes")),
        ("sweep", lambda: unchecked(sweep, None, "a cat", progress="yes")),
        (
            "learn_word_weights",
            lambda: unchecked(learn_word_weights, None, "a cat", "no.png", progress="yes"),
        ),
    ],
)
def test_every_verb_refuses_it_before_a_model_is_opened(name, call):
    with pytest.raises(ArgumentError, match=f"^{name}{WRONG}"):
        call()


def test_looking_and_hiding_words_show_one_bar(terminal, capsys):
    seen = look(pipeline(), "a cat", **ONE)
    assert "generating" in capsys.readouterr().err
    verify(pipeline(), seen)
    assert "hiding words" in capsys.readouterr().err
    look(pipeline(), "a cat", verify=True, num_inference_steps=2)
    written = capsys.readouterr().err
    assert "generating, part 2" in written  # fewer are done than before: another phase
    assert "hiding words" not in written


def test_steering_shows_one_bar_of_both_images(terminal, capsys):
    steer(pipeline(), "a cat", [drop("cat")], **ONE)
    written = capsys.readouterr().err
    assert "steering" in written
    assert "2/2" in written
    assert "generating" not in written


def test_looking_is_quiet_where_there_is_no_terminal(capsys):
    assert not sys.stderr.isatty()
    look(pipeline(), "a cat", **ONE)
    assert capsys.readouterr().err == ""
