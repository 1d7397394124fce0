from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers

from encoders import noise_pictures
from regard.data.scenes import scene
from regard.errors import ArgumentError, DataError
from regard.models import load, vision_of
from regard.models.captioner import LONGEST, captions
from regard.models.opening import opened_once
from regard.zoo.captioner import task
from regard.zoo.job import Job
from regard.zoo.pixels import scenes_for_judges, to_tensor
from regard.zoo.recipe import recipe
from small_recipes import small as small_recipe

CPU = torch.device("cpu")


def test_a_batch_holds_the_captions_of_its_scenes():
    plan = small_recipe("openmoji-captioner")
    made = task(plan, CPU)
    batch, scenes = made.batch(2), scenes_for_judges(2, plan.train)
    read = made.tokenizer.batch_decode(batch["tokens"], skip_special_tokens=True)
    assert [text.strip() for text in read] == [each.caption() for each in scenes]
    assert [len(each.placed) for each in scenes[1:]] == [2, 2, 2]


def test_what_follows_the_end_of_a_caption_does_not_count():
    made = task(small_recipe("openmoji-captioner"), CPU)
    batch = made.batch(0)
    end = made.tokenizer.eos_token_id
    for tokens, labels in zip(batch["tokens"], batch["labels"], strict=True):
        last = tokens.tolist().index(end)
        assert labels[: last + 1].tolist() == tokens[: last + 1].tolist()
        assert set(labels[last + 1 :].tolist()) <= {-100}


def test_the_loss_is_the_mean_surprise_of_each_next_token():
    made = task(small_recipe("openmoji-captioner"), CPU)
    batch = made.batch(0)
    network = made.network.eval()
    with torch.no_grad():
        said = network(pixel_values=batch["pixels"], input_ids=batch["tokens"]).logits.double()
        loss = made.loss(batch, 0).item()
    right = []
    for scores, labels in zip(said.log_softmax(-1), batch["labels"].tolist(), strict=True):
        right += [scores[i, to].item() for i, to in enumerate(labels[1:]) if to != -100]
    assert loss == pytest.approx(-np.mean(right), rel=1e-5)


def test_every_caption_fits_into_the_longest():
    read = task(small_recipe("openmoji-captioner"), CPU).tokenizer
    longest = "a purple suitcase and an orange backpack on the night sky"
    assert len(read(longest).input_ids) < LONGEST
    assert recipe("openmoji-captioner").model["vision"]["image_size"] == 64


@pytest.fixture(scope="module")
def learnt(tmp_path_factory):
    """A captioner that knows four pictures by heart, and these."""
    plan = small_recipe("openmoji-captioner")
    tower = {"hidden_size": 32, "intermediate_size": 64}
    model = {key: {**plan.model[key], **tower} for key in ("text", "vision")}
    plan = replace(plan, model={**plan.model, **model}, train={**plan.train, "average": 0.0})
    torch.manual_seed(0)
    made = task(plan, CPU)
    job = Job(made, replace(plan, train={**plan.train, "learning_rate": 1e-2}), 120)
    scenes = scenes_for_judges(0, plan.train)
    batch = made.batch(0) | {"pixels": to_tensor(each.image for each in scenes)}
    made.batch = lambda step: batch
    for _ in job.run():
        pass
    folder = tmp_path_factory.mktemp("captioner")
    job.export(folder / "model")
    yield folder / "model", scenes
    opened_once.cache_clear()


def test_what_was_learnt_is_said_again(learnt):
    folder, scenes = learnt
    wanted = [each.caption() for each in scenes]
    assert captions([each.image for each in scenes], model=folder) == wanted
    assert captions([each.image for each in scenes], model=folder, batch=3, beams=2) == wanted


def test_plain_transformers_opens_it_and_says_the_same(learnt):
    folder, scenes = learnt
    network = transformers.BlipForConditionalGeneration.from_pretrained(folder).float().eval()
    words = transformers.AutoTokenizer.from_pretrained(folder)
    processor = transformers.BlipImageProcessorPil.from_pretrained(folder)
    pixels = processor([each.image for each in scenes], return_tensors="pt").pixel_values
    torch.testing.assert_close(pixels, to_tensor(each.image for each in scenes))
    said = words.batch_decode(
        network.generate(pixels, max_length=LONGEST), skip_special_tokens=True
    )
    assert [text.strip() for text in said] == [each.caption() for each in scenes]


def test_it_opens_as_what_it_is_and_its_eyes_as_a_vision_transformer(learnt):
    folder, _ = learnt
    assert type(load(folder)).__name__ == "BlipForConditionalGeneration"
    eyes = vision_of(folder)
    assert (eyes.grid(), eyes.channels, eyes.mean) == ((4, 4), 3, (0.5, 0.5, 0.5))


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A tiny random BLIP as users keep one: its own words, size and processor."""
    folder = tmp_path_factory.mktemp("blip")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", "a", "cat", "dog", "red"]
    (folder / "vocab.txt").write_text("\n".join(words))
    reader = transformers.BertTokenizer(str(folder / "vocab.txt"))
    shared = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    shared["num_attention_heads"] = 2
    ids = {"pad_token_id": 0, "sep_token_id": 3, "eos_token_id": 3, "bos_token_id": 5}
    text = {**shared, **ids, "vocab_size": 10, "initializer_range": 1.0}
    vision = {**shared, "image_size": 24, "patch_size": 8, "initializer_range": 1.0}
    config = transformers.BlipConfig(text_config=text, vision_config=vision, initializer_range=1.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        transformers.BlipForConditionalGeneration(config).save_pretrained(folder)
    reader.save_pretrained(folder)
    sides = {"height": 24, "width": 24}
    transformers.BlipImageProcessorPil(size=sides).save_pretrained(folder)
    return folder


def test_a_users_own_folder_says_what_the_library_says(foreign):
    pictures = noise_pictures(3)
    network = load(foreign)
    processor = transformers.BlipImageProcessorPil.from_pretrained(foreign)
    pixels = processor(pictures, return_tensors="pt").pixel_values
    tokens = network.generate(pixels, max_length=30, min_length=10, num_beams=3)
    words = transformers.AutoTokenizer.from_pretrained(foreign)
    wanted = [text.strip() for text in words.batch_decode(tokens, skip_special_tokens=True)]
    assert captions(pictures, model=foreign, beams=3, shortest=10) == wanted
    assert len({*wanted}) > 1  # or it would not matter what it is shown


def test_of_no_pictures_nothing_is_said(learnt):
    assert captions([], model=learnt[0]) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"beams": 0}, "captions: beams 0, shortest 0, batch 64; beams and batch must be 1"),
        ({"batch": 0}, "captions: beams 1, shortest 0, batch 0"),
        ({"shortest": 30}, "and shortest 0 to 29"),
    ],
)
def test_options_that_make_no_caption_are_refused(options, said):
    with pytest.raises(ArgumentError, match=said):
        captions([scene(0).image], **options)


def test_a_model_that_writes_nothing_is_refused(small):
    with pytest.raises(DataError, match="'openmoji-clip' is a CLIPModel, which writes no captions"):
        captions([scene(0).image], model="openmoji-clip")


def test_a_folder_without_its_words_is_refused(foreign, tmp_path):
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((foreign / name).read_bytes())
    with pytest.raises(DataError, match=r"captions: .* and no tokenizer\. Save its tokenizer"):
        captions([scene(0).image], model=tmp_path)


def test_what_is_no_picture_is_told_by_its_number(learnt):
    with pytest.raises(DataError, match="image 1"):
        captions([scene(0).image, "cat.png"], model=learnt[0])
