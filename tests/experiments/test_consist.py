"""One subject in several scenes: what is generated, what is seen of it, and what is said."""

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch

from looks import pipeline
from regard.errors import ArgumentError, UnknownName
from regard.experiments.consist import consist, noun, read_settings
from regard.generation import Request, generate
from regard.methods import share
from regard.models import TextToImage

SUBJECT, SCENES = "a red cat", ["on grass", "on the beach", "on the road"]
STEPS = {"num_inference_steps": 2}


def colours(pictures):
    """A made-up encoder: the mean colour of each quarter of an image, and a constant."""
    small = [np.asarray(each.resize((2, 2)), float).ravel() / 255 for each in pictures]
    return torch.tensor(np.array([[1.0, *each] for each in small]))


@pytest.fixture(scope="module")
def found():
    return consist(pipeline(), SUBJECT, SCENES, method="share", encoder=colours, **STEPS)


def test_each_scene_is_generated_alone_and_with_the_anchors(found):
    model = TextToImage.of(pipeline())
    prompts = [f"{SUBJECT} {scene}" for scene in SCENES]
    how = share(prompts[:2], seeds=[0, 1])
    for way, methods in (("none", ()), ("share", (how,))):
        wanted = [
            Request(prompt, seed=seed, methods=methods, num_inference_steps=2)
            for seed, prompt in enumerate(prompts)
        ]
        for scene, made in zip(SCENES, generate(model, wanted), strict=True):
            kept = found.cases[way, scene].arrays["image"].astype(int)
            assert np.abs(kept - np.asarray(made.image)).max() <= 1
    assert found.table["way"].tolist() == ["none"] * 3 + ["share"] * 3
    assert found.table["anchor"].tolist() == [True, True, False] * 2


def test_attention_between_images_is_that_of_the_lent_keys(found):
    model, seen = TextToImage.of(pipeline()), []

    def see(call):
        layout = call.known_layout("test")
        if layout.has(key="lent"):
            rows = call.rows_of("cond")
            seen.append(call.mass("lent", batch=rows).mean((1, 2)))

    prompts = [f"{SUBJECT} {scene}" for scene in SCENES]
    how = share(prompts[:2], seeds=[0, 1])
    order = [2, 0, 1]  # the anchors are the last of their batch
    wanted = [Request(prompts[at], seed=at, methods=[how], num_inference_steps=2) for at in order]
    generate(model, wanted, observe=[see])
    expected = np.mean([each.numpy() for each in seen], 0)
    lent = found.table.set_index(["way", "scene"])["lent"]
    for at, value in zip(order, expected, strict=True):
        assert lent["share", SCENES[at]] == pytest.approx(value, abs=1e-5)
    assert (lent["none"] == 0).all()
    anchor = found.cases["share", SCENES[0]].arrays["between"]
    assert not anchor[:, 0].any()  # to itself it attends as ever
    assert anchor[:, 1].sum() > 0


def test_spectra_are_the_singular_values_of_an_anchor_s_keys(found):
    first = found.cases["share", SCENES[0]]
    names, values = first.values["spectra"], []

    def see(call):
        if call.step == 1 and call.layer == names[0]:
            values.append(call.key[call.rows_of("cond")].transpose(1, 2).flatten(2))

    wanted = Request(f"{SUBJECT} {SCENES[0]}", num_inference_steps=2)
    generate(TextToImage.of(pipeline()), [wanted], observe=[see])
    expected = np.linalg.svd(values[0][0].numpy(), compute_uv=False)
    alone = found.cases["none", SCENES[0]].arrays["spectrum-key-0"]
    np.testing.assert_allclose(alone, expected, rtol=1e-3, atol=1e-4)
    assert "spectrum-key-0" not in found.cases["none", SCENES[2]].arrays  # no anchor


def test_a_method_is_compared_with_independence_scene_by_scene(found):
    told = found.summary().set_index(["way", "measure"])
    both = found.table.pivot(index="scene", columns="way", values="subject_likeness")
    gain = (both["share"] - both["none"]).mean()
    assert told.loc[("share", "subject_likeness"), "difference"] == pytest.approx(gain)
    assert np.isnan(told.loc[("none", "subject_likeness"), "difference"])
    assert np.isnan(told.loc[("share", "subject_likeness"), "low"])  # three scenes


def test_independent_images_alone_and_without_an_encoder():
    only = consist(pipeline(), SUBJECT, SCENES[:2], method="none", **STEPS)
    assert only.table["way"].tolist() == ["none", "none"]
    assert "subject_likeness" not in only.table
    assert "No encoder" in only.notes[0]


def test_more_scenes_than_a_batch_holds_have_the_same_anchors(monkeypatch):
    many = [*SCENES, "on snow", "in the lake"]
    whole = consist(pipeline(), SUBJECT, many, method="share", **STEPS)
    monkeypatch.setattr("regard.generation.batches.ROWS", 4)
    parts = consist(pipeline(), SUBJECT, many, method="share", **STEPS)
    for name, done in whole.cases.items():
        apart = done.arrays["image"].astype(int) - parts.cases[name].arrays["image"]
        assert np.abs(apart).max() <= 1


def test_a_further_scene_reuses_what_is_finished(tmp_path, monkeypatch):
    consist(pipeline(), SUBJECT, SCENES, method="share", store=tmp_path / "s", **STEPS)
    made = []

    def counted(model, asked, **how):
        made.extend(each.prompt for each in asked)
        return generate(model, asked, **how)

    monkeypatch.setattr(import_module("regard.experiments.consist"), "generate", counted)
    more = [*SCENES, "on snow"]
    consist(pipeline(), SUBJECT, more, method="share", store=tmp_path / "s", **STEPS)
    new = f"{SUBJECT} on snow"
    assert made.count(new) == 2
    assert set(made) == {new, *(f"{SUBJECT} {scene}" for scene in SCENES[:2])}  # the anchors


def test_bundled_subjects_are_cut_out_by_the_segmenter():
    places, how = ["on the grass", "on the road"], {"keys": {"rank": 4}}
    found = consist("openmoji", "a red balloon", places, method="svd", settings=how, **STEPS)
    assert {"subject_likeness", "text_agreement"} <= set(found.table)
    assert found.recipe["method"][0]["keys"] == {"rank": 4}


def test_every_method_makes_a_folder(tmp_path):
    for way in ("consistory", "svd"):
        made = consist(pipeline(), SUBJECT, SCENES[:2], method=way, num_inference_steps=11)
        made.save(tmp_path / way)
        names = {each.name for each in (tmp_path / way / "figures").iterdir()}
        assert {"sheet-scenes.png", "sheet-subjects.png", "attention.png", "layers.png",
                "spectrum-keys.png", f"image-{way}-01.png"} <= names  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scenes": ["on grass"]}, "must be two texts or more"),
        ({"scenes": "on grass"}, "must be two texts or more"),
        ({"scenes": ["on grass", "on grass"]}, "the scene 'on grass' comes twice"),
        ({"subject": " "}, "subject is ' ' and must be a text"),
        ({"method": "magic"}, "method is 'magic' and must be one of none, share, svd"),
        ({"anchors": 0}, "anchors is 0 and must be 1 to 3"),
        ({"anchors": 4}, "anchors is 4 and must be 1 to 3"),
        ({"settings": {"seeds": [1, 2]}}, "seeds follows from the scenes"),
        ({"method": "svd", "settings": {"keys": {"energy": 2.0}}}, "energy is 2.0 and must be"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(wrong, message):
    asked = {"subject": SUBJECT, "scenes": SCENES, "method": "share", **wrong}
    with pytest.raises(ArgumentError, match=message):
        consist(pipeline(), asked.pop("subject"), asked.pop("scenes"), **asked)


def test_a_subject_that_no_prompt_spells_is_refused():
    with pytest.raises(UnknownName, match="none of the anchors .* has 'dog'"):
        consist(pipeline(), SUBJECT, SCENES, settings={"subject": "dog"}, **STEPS)


def test_settings_from_a_command_line():
    assert read_settings("share", ["weight=0.5"]) == {"weight": 0.5}
    assert read_settings("none", []) == {}
    with pytest.raises(ArgumentError, match="independent images have no settings"):
        read_settings("none", ["weight=1"])
    with pytest.raises(UnknownName, match="no setting"):
        read_settings("share", ["wait=1"])
    assert noun("two red balloons.") == "balloons"


def test_nothing_is_lent_where_the_weight_is_nothing():
    same = consist(pipeline(), SUBJECT, SCENES, method="share", settings={"weight": 0.0}, **STEPS)
    for scene in SCENES:
        one, other = (same.cases[way, scene].arrays["image"] for way in ("none", "share"))
        assert np.array_equal(one, other)
    assert replace(same, notes=()).notes == ()
