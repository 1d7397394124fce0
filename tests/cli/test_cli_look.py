"""What `regard look` takes beside a prompt and beside a picture, before anything is loaded."""

from dataclasses import fields, replace

import pandas as pd
import pytest
from typer.testing import CliRunner

from regard.cli import app
from regard.cli.words import text_of
from regard.generation import Request
from regard.look.asked import KEEPABLE
from regard.measures.verdicts import judge
from regard.measures.words import word_table
from regard.trace import toy_trace

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
        ("--num-inference-steps", "30"),
        ("--guidance-scale", "4.0"),
        ("--negative-prompt", ""),
        ("--words", "cat"),
        ("--keep", "step,layer,head"),
        ("--self-attention", "0.5,0.5"),
        ("--verify",),
        ("--seeds", "1"),
    ],
    ids=lambda option: option[0],
)
def test_an_option_of_drawing_is_refused_beside_a_picture_though_it_is_the_default(option):
    said = refused("--image", "boot.png", *option)
    assert f"look: {option[0]} is for generating, and --image takes an image" in said


def test_all_that_is_for_drawing_is_named():
    said = refused("a cat", "--image", "boot.png", "--seed", "0", "--verify")
    assert "look: a prompt, --seed and --verify are for generating, and --image takes" in said
    assert said.endswith("Leave out these or --image.")


def test_no_seed_verifies_nothing():
    assert "look: --seeds is 0 and must be 1 or more" in refused("a cat", "--seeds", "0")


def test_patches_are_rows_and_columns_or_points():
    said = "look: --self-attention is 'cat' and must be patches with a blank between them, each"
    assert said in refused("a cat", "--self-attention", "cat")
    said = "look: self_attention has (0.5, 2.5) and must be a list of patches"
    assert said in refused("a cat", "--self-attention", "0.5,2.5")
    said = "look: --self-attention-layers needs --self-attention"
    assert said in refused("a cat", "--self-attention-layers", "up")


def judged(*seeds):
    """The toy's words after a verification in which only the animals were needed."""
    verification = pd.DataFrame(
        [
            {"word": word, "seed": seed, "kind": "word", "distance": 0.3 * (word in ("cat", "dog")),
             "pixel_distance": 0.001, "seen": "cat -> nothing" if word == "cat" else "same"}
            for seed in seeds for word in ("a", "cat", "and", "a#2", "dog")
        ]
    )  # fmt: skip
    return judge(word_table(toy_trace()), verification)


def test_without_a_verification_the_table_says_at_most_what_looks_redundant():
    lines = text_of(word_table(toy_trace())).splitlines()
    assert lines[0].split() == ["mass", "entropy", "verdict"]
    assert lines[3].split() == ["cat", "10.9%", "0.922"]
    assert lines[4].endswith("looks redundant: near-uniform map")


def test_a_verification_has_a_table_of_its_own_with_the_threshold_beside_the_number():
    first, second = text_of(judged(0)).split("\n\nwith the word hidden:\n")
    assert "needed" not in first
    lines = {line.split()[0]: line for line in second.splitlines()[1:]}
    assert "0.300 > 0.100  cat -> nothing  0.001 < 0.060  needed at this seed" in lines["cat"]
    assert "0.000 < 0.100  same            0.001 < 0.060  redundant at this" in lines["and"]
    assert "[start]" not in lines
    assert max(map(len, second.splitlines())) <= 100


def test_several_seeds_are_shown_with_their_share_and_interval():
    text = text_of(judged(0, 1, 2, 3, 4))
    (line,) = [line for line in text.splitlines() if line.startswith("and") and "<" in line]
    # Wilson for 5 of 5: 1 / (1 + 1.96 ** 2 / 5) = 0.566 to 1.
    assert "100.0%  57%-100%  redundant" in line


def test_the_help_tells_the_defaults_of_a_drawing():
    done = CliRunner().invoke(app, ["look", "--help"], env=WIDE)
    default = {each.name: each.default for each in fields(Request)}
    for said in (
        f"Seed of the initial noise; by default {default['seed']}.",
        "Denoising steps; by default the model's own.",
        "Weight of classifier-free guidance, up to 1 is off; by default the model's own.",
        f"Axes to keep, by default {','.join(KEEPABLE)};",
    ):
        assert said in done.stdout
    assert default["negative_prompt"] == ""
    assert default["num_inference_steps"] is default["guidance_scale"] is default["width"] is None


def test_what_is_not_given_is_left_to_the_model():
    from regard.cli.options import given

    options = {
        "seed": None,
        "num_inference_steps": 2,
        "guidance_scale": None,
        "negative_prompt": "",
    }
    assert given(**options) == {"num_inference_steps": 2, "negative_prompt": ""}


def looked(*arguments):
    done = CliRunner().invoke(app, ["look", *map(str, arguments)], env=WIDE)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_several_prompts_and_seeds_get_a_folder_each(model, tmp_path):
    out = tmp_path / "out"
    few = ("--model", model, "--num-inference-steps", 1, "--out", out)
    said = looked("a cat", "a dog", "--seed", 0, "--seed", 1, *few)
    assert sorted(each.name for each in out.iterdir()) == ["a-cat-seed0", "a-dog-seed1"]
    assert "a cat, seed 0\n" in said
    assert "a dog, seed 1\n" in said
    assert f"Wrote {out}. Open the page.html of each in a browser." in said
    looked("a cat", "--seed", 2, "--seed", 3, *few, "--overwrite")
    assert sorted(each.name for each in out.iterdir()) == ["a-cat-seed2", "a-cat-seed3"]
    said = refused("a cat", "--model", model, "--out", str(out), "--overwrite")
    assert "which no look wrote" in said


def test_prompts_and_seeds_that_cannot_be_paired_are_refused():
    said = refused("a cat", "a dog", "--seed", "0", "--seed", "1", "--seed", "2")
    assert "look: there are 2 prompts and 3 seeds, and each image has one of both." in said


def test_no_words_are_not_all_words():
    assert "look: words is empty" in refused("a cat", "--words", "")


@pytest.mark.parametrize("name", ["verification", "proof"])
def test_a_saved_check_is_shown_in_older_traces_too(name, tmp_path):
    trace = toy_trace()
    recipe = {**trace.recipe, name: "compared with 8 padding tokens"}
    noted = replace(trace, recipe=recipe, table=word_table(trace))
    noted.save(tmp_path / "trace.zarr")
    done = CliRunner().invoke(app, ["words", str(tmp_path / "trace.zarr")])
    assert done.stdout.endswith("\n\ncompared with 8 padding tokens\n")
