import pytest
import torch

import regard
from regard.experiments.evaluations.noised import noised
from regard.experiments.evaluations.task import Chunk
from regard.models import TextToImage
from regard.zoo.job import Job
from regard.zoo.joint import OF_T5, LastKeyForMany, task
from regard.zoo.recipe import Recipe

CPU = torch.device("cpu")

TRANSFORMER = {
    "sample_size": 16,
    "patch_size": 1,
    "in_channels": 4,
    "out_channels": 4,
    "num_layers": 2,
    "attention_head_dim": 8,
    "num_attention_heads": 2,
    "caption_projection_dim": 16,
    "joint_attention_dim": 32,
    "pooled_projection_dim": 16,
    "pos_embed_max_size": 16,
}

PLAN = Recipe(
    "toy-joint",
    "joint",
    "",
    "StableDiffusion3Pipeline",
    ("openmoji-clip", "openmoji-autoencoder"),
    (),
    (),
    {"transformer": TRANSFORMER, "scheduler": {"shift": 1.0}},
    {"seed": 5, "scenes": 8, "batch": 4, "learning_rate": 1e-3, "warm_up": 1},
)


@pytest.fixture
def made(small):
    """The task, on the shrunken encoder and autoencoder."""
    return task(PLAN, CPU)


def test_a_batch_holds_shares_of_noise_over_the_whole_range(made):
    batch = made.batch(0)
    assert batch["latents"].shape == batch["noise"].shape == (4, 4, 16, 16)
    # One from each quarter of a logit-normal distribution, by its quartiles.
    quartiles = torch.tensor([0.3375, 0.5, 0.6625])
    assert torch.bucketize(batch["share"], quartiles).tolist() == [0, 1, 2, 3]


def test_the_velocity_is_the_way_from_image_to_noise(made):
    batch = made.batch(0)

    def exact(noisy, timestep, **_):
        # Who knows the image can tell: (x_t - x) / s = noise - x.
        share = (timestep / 1000)[:, None, None, None]
        return type("Out", (), {"sample": (noisy - batch["latents"]) / share})

    made.network = exact
    assert made.loss(batch, 0).item() == pytest.approx(0.0, abs=1e-8)


def test_one_token_of_zeros_counts_for_those_that_the_pipeline_gives(made):
    batch = made.batch(0)
    words, pooled = made._said(batch["tokens"])
    how = {"pooled_projections": pooled, "timestep": 1000 * batch["share"]}
    with torch.no_grad():
        many = torch.nn.functional.pad(words, (0, 0, 0, OF_T5 - 1))
        expected = made.network(batch["latents"], encoder_hidden_states=many, **how).sample
        with LastKeyForMany(OF_T5):
            found = made.network(batch["latents"], encoder_hidden_states=words, **how).sample
        plain = made.network(batch["latents"], encoder_hidden_states=words, **how).sample
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert (plain - expected).abs().max() > 1e-4  # or the test would show nothing


def test_what_is_trained_opens_in_plain_diffusers_and_sees_the_words_it_was_trained_on(
    made, tmp_path
):
    from diffusers import StableDiffusion3Pipeline

    job = Job(made, PLAN, 2)
    assert all(torch.isfinite(torch.tensor(each.loss)) for each in job.run())
    job.export(tmp_path / "model")
    pipeline = StableDiffusion3Pipeline.from_pretrained(
        tmp_path / "model", text_encoder_3=None, tokenizer_3=None
    )
    words, _, pooled, _ = pipeline.encode_prompt(
        "a cat", None, None, do_classifier_free_guidance=False
    )
    tokens = pipeline.tokenizer("a cat", padding="max_length", return_tensors="pt").input_ids
    own, together = made._said(tokens)
    torch.testing.assert_close(words[:, :32], own[:, :-1])
    assert not words[:, 32:].any()
    assert words.shape[1] - 32 == OF_T5
    torch.testing.assert_close(pooled, together)
    image = pipeline("a cat", num_inference_steps=1, height=64, width=64).images[0]
    assert image.size == (64, 64)
    model = regard.load(tmp_path / "model")  # which knows that it has no T5
    assert TextToImage.of(model).family.name == "Stable Diffusion 3"


def test_its_word_maps_are_measured_as_a_unets_are(made, tmp_path, monkeypatch):
    """It has no self-attention alone, so the readings that need it are left out."""
    Job(made, PLAN, 0).export(tmp_path / "model")
    model = TextToImage.of(regard.load(tmp_path / "model"))
    monkeypatch.setattr("regard.experiments.evaluations.noised.model", lambda name: model)
    done = noised(PLAN, Chunk("noised scenes", 0, 3))
    readings = {"own", "carriers", "shown", "dot", "output"}
    assert {*readings, "masks", "coarse", "shuffled"} == set(done.arrays)
    for name in readings:
        assert done.arrays[name].shape == (len(done.values), 16, 16)
    # Of one word among 288 tokens of text and 256 patches.
    assert 0 < done.arrays["own"].mean() < 0.1
