import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import tiny
from looks import pipeline
from regard import load
from regard.cli import app
from regard.errors import ArgumentError, UnknownName
from regard.explain import explain_image, explain_prompt, explanations, faithfulness, word_deletion


@pytest.fixture
def dress(tmp_path):
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 10:18] = 200
    Image.fromarray(pixels).save(tmp_path / "dress.png")
    return tmp_path / "dress.png"


def run(*words, code=0):
    done = CliRunner().invoke(app, ["explain", *map(str, words)])
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    return done.output


def test_an_image_is_explained_as_a_folder(dress, tmp_path):
    out = tmp_path / "found"
    said = run(dress, "--method", "rollout", "--target", "Dress", "--out", out)
    assert "Dress" in said
    names = sorted(str(each.relative_to(out)) for each in out.rglob("*") if each.is_file())
    assert names == ["image.png", "maps/Dress.png", "recipe.json", "values.csv"]
    vision = load("fashion-vit")
    pixels = vision.pixels([Image.open(dress)])
    heat = explanations.get("rollout")(vision.model, pixels, torch.tensor([3]))
    table = pd.read_csv(out / "values.csv").pivot(index="y", columns="x", values="value")
    np.testing.assert_allclose(table.values, heat.values[0], rtol=1e-5, atol=1e-9)
    assert json.loads((out / "recipe.json").read_text())["of"] == "Dress"
    run(dress, "--out", out, code=2)
    run(dress, "--out", out, "--overwrite")
    assert json.loads((out / "recipe.json").read_text())["method"] == "relevance"


def test_a_prompt_is_explained_word_by_word(tmp_path):
    out, model = tmp_path / "found", tmp_path / "model"
    tiny.tiny_pipeline().save_pretrained(model)
    few = ("--num-inference-steps", 1, "--words", "cat,grass")
    run("--prompt", "a cat on grass", "--model", model, *few, "--out", out)
    assert sorted(each.name for each in (out / "maps").iterdir()) == ["cat.png", "grass.png"]
    assert set(pd.read_csv(out / "values.csv")["of"]) == {"cat", "grass"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give either an image"),
        (["{image}", "--prompt", "a cat"], "give either an image"),
        (["{image}", "--seed", "1"], "--seed is for a prompt"),
        (["--prompt", "a cat", "--target", "3"], "--target is for an image"),
        (["nowhere.png"], "nowhere.png"),
        (["{image}", "--method", "rolout"], "Did you mean 'rollout'"),
        (["{image}", "--target", "Spoon"], "no class is named 'Spoon'"),
        (["{image}", "--target", "10"], "Or a number, 0..9"),
        (["{image}", "--model", "openmoji-clip"], "names no classes"),
        (["{image}", "--model", "nowhere"], "nowhere"),
        (["--prompt", "a cat", "--method", "rollout"], "word_rollout"),
        (["--prompt", "a cat", "--num-inference-steps", "0"], "steps is 0"),
        (["--prompt", " "], "the prompt is empty"),
    ],
)
def test_mistakes_are_one_line_and_nothing_is_written(dress, tmp_path, words, said):
    out = tmp_path / "found"
    told = run(*(dress if word == "{image}" else word for word in words), "--out", out, code=2)
    assert said in " ".join(told.split())
    assert not out.exists()


def test_names_folders_and_what_load_gives_mean_the_same(dress, tmp_path):
    vision, image = load("fashion-vit"), Image.open(dress)
    explain = explanations.get("relevance")
    own = explain(vision.model, vision.pixels([image]), torch.tensor([3]))
    for which in ("fashion-vit", vision):
        for pixels in (vision.pixels([image]), [image], image, str(dress)):
            np.testing.assert_array_equal(explain(which, pixels, 3).values, own.values)
    table = faithfulness("fashion-vit", [image], ["random"], steps=2, orders=10)
    assert table["explanation"].tolist() == ["random"]


def test_explanations_of_prompts_take_a_folder(tmp_path):
    pipeline().save_pretrained(tmp_path / "model")
    blame = {"cat": 1.0, "grass": 0.5}
    told = {"num_inference_steps": 1, "orders": 10}
    by_name = word_deletion(tmp_path / "model", "cat grass", blame, **told)
    own = word_deletion(pipeline(), "cat grass", blame, **told)
    pd.testing.assert_frame_equal(by_name, own)


def test_what_names_no_class_and_what_is_no_pipeline_is_told():
    with pytest.raises(UnknownName, match="no class is named 'Spoon'"):
        explain_image("fashion-vit", np.zeros((28, 28), np.uint8), target="Spoon")
    with pytest.raises(ArgumentError, match="explain: 'openmoji-clip' names no classes"):
        explain_image("openmoji-clip", np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(ArgumentError, match="explain_prompt: 'fashion-vit' looks at images"):
        explain_prompt("fashion-vit", "a cat")
