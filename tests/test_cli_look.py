"""What `regard look` takes beside a prompt and beside a picture, before anything is loaded."""

from dataclasses import fields

import pytest
from typer.testing import CliRunner

from regard.cli import app
from regard.look.observe import KEEPABLE
from regard.look.settings import Settings

WIDE = {"COLUMNS": "200"}  # or the help is broken into lines where a test looks for words


def refused(*arguments):
    """The one line that is said."""
    done = CliRunner().invoke(app, ["look", *arguments])
    assert (done.exit_code, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    "option",
    [
        ("--seed", "0"),
        ("--steps", "30"),
        ("--guidance", "4.0"),
        ("--negative", ""),
        ("--words", "cat"),
        ("--keep", "step,layer,head"),
        ("--prove",),
    ],
    ids=lambda option: option[0],
)
def test_an_option_of_drawing_is_refused_beside_a_picture_though_it_is_the_default(option):
    said = refused("--image", "boot.png", *option)
    assert f"look: {option[0]} is for drawing, and --image looks at a picture" in said


def test_all_that_is_for_drawing_is_named():
    said = refused("a cat", "--image", "boot.png", "--seed", "0", "--prove")
    assert "look: a prompt, --seed and --prove are for drawing, and --image looks" in said
    assert said.endswith("Leave these or --image away.")


def test_the_help_tells_the_defaults_of_a_drawing():
    done = CliRunner().invoke(app, ["look", "--help"], env=WIDE)
    default = {each.name: each.default for each in fields(Settings)}
    for said in (
        f"Seed of the first noise; by default {default['seed']}.",
        f"Denoising steps; by default {default['steps']}.",
        f"Classifier-free guidance; by default {default['guidance']}, and",
        f"Axes to keep, by default {','.join(KEEPABLE)};",
    ):
        assert said in done.stdout
    assert default["negative_prompt"] == ""
    assert default["size"] is None


def test_what_is_not_given_is_what_the_settings_say():
    from regard.cli.see import _settings

    given = {"seed": None, "steps": 2, "guidance": None, "negative_prompt": None, "size": None}
    assert _settings("a cat", **given) == Settings("a cat", steps=2)
