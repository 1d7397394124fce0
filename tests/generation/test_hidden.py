"""Words hidden inside every text encoder and from the denoiser."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

import joint
import tiny
from regard.errors import ArgumentError
from regard.generation import Request, batches, hidden
from regard.models import TextToImage

PROMPT, OTHER = "a red cat on grass", "a red dog on grass"


def tiny_sdxl():
    """A StableDiffusionXLPipeline: two text encoders of different lengths, and a pooled vector."""
    from diffusers import DDIMScheduler, StableDiffusionXLPipeline, UNet2DConditionModel

    tokenizer = tiny.tiny_tokenizer()
    unet = tiny.seeded(
        lambda: UNet2DConditionModel(
            sample_size=8,
            in_channels=4,
            out_channels=4,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=2,
            norm_num_groups=4,
            addition_embed_type="text_time",
            addition_time_embed_dim=4,
            projection_class_embeddings_input_dim=6 * 4 + 16,
        )
    )
    pipeline = StableDiffusionXLPipeline(
        vae=tiny.tiny_vae(),
        text_encoder=tiny.tiny_text_encoder(tokenizer),
        text_encoder_2=joint.tiny_clip(tokenizer),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(steps_offset=1),
        add_watermarker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@functools.cache
def sd():
    return tiny.tiny_pipeline()


sdxl = functools.cache(tiny_sdxl)
sd3 = functools.cache(joint.tiny_sd3_pipeline)
sd3_without_t5 = functools.cache(lambda: joint.tiny_sd3_pipeline(t5=False))
flux = functools.cache(joint.tiny_flux_pipeline)
ALL = pytest.mark.parametrize("which", [sd, sdxl, sd3, sd3_without_t5, flux])


def settings(prompt=PROMPT, **changes):
    return Request(prompt, num_inference_steps=2, **changes)


def tokens_of(pipeline, *words, prompt=PROMPT):
    return TextToImage.of(pipeline).tokenize(prompt).spelled(words)


def hide_words(pipeline, *args, **options):
    return hidden.hide_words(TextToImage.of(pipeline), *args, **options)


class Stop(Exception):
    pass


def told(pipeline, groups, **changes):
    """What the denoiser is first told of the text: embeddings and pooled vectors, by name."""
    seen = {}

    def note(module, args, kwargs):
        seen.update(kwargs.get("added_cond_kwargs") or {}, **kwargs)
        raise Stop

    hook = TextToImage.of(pipeline).denoiser.register_forward_pre_hook(note, with_kwargs=True)
    try:
        with pytest.raises(Stop):
            hide_words(pipeline, settings(**changes), groups)
    finally:
        hook.remove()
    names = ("encoder_hidden_states", "pooled_projections", "text_embeds")
    return {name: seen[name] for name in names if seen.get(name) is not None}


def pixels(made):
    return np.stack([np.asarray(each).astype(int) for each in made.images])


@ALL
def test_a_hidden_word_can_be_exchanged_and_nothing_changes(which):
    pipeline = which()
    group = tokens_of(pipeline, "cat")
    first, second = told(pipeline, [group]), told(pipeline, [group], prompt=OTHER)
    assert "encoder_hidden_states" in first
    assert ("pooled_projections" in first) or ("text_embeds" in first) or which is sd
    for name, states in first.items():
        kept = [at for at in range(states.shape[1]) if states.ndim < 3 or at not in group]
        torch.testing.assert_close(states[:, kept], second[name][:, kept], rtol=0, atol=5e-6)
    # Shown, it does change them: at the tokens behind it, and in what is pooled.
    first, second = told(pipeline, [[]]), told(pipeline, [[]], prompt=OTHER)
    for name, states in first.items():
        kept = [at for at in range(states.shape[1]) if states.ndim < 3 or at not in group]
        assert float((states[:, kept] - second[name][:, kept]).abs().max()) > 1e-3
    made = hide_words(pipeline, settings(), [group])
    assert made.how == "masked"
    np.testing.assert_array_equal(
        pixels(made), pixels(hide_words(pipeline, settings(OTHER), [group]))
    )


@ALL
def test_each_row_of_a_batch_hides_its_own_words(which):
    pipeline = which()
    groups = [[], tokens_of(pipeline, "cat"), tokens_of(pipeline, "red", "grass")]
    together = told(pipeline, groups)
    for row, group in enumerate(groups):
        for name, states in told(pipeline, [group]).items():
            # The unconditional rows, where there are any, come first.
            mine = together[name][-len(groups) :][row]
            torch.testing.assert_close(mine, states[-1], rtol=0, atol=5e-6)


def test_all_is_as_it_was_where_no_word_is_hidden():
    made = hide_words(sd(), settings(), [[], tokens_of(sd(), "cat")])
    generator = torch.Generator().manual_seed(0)
    bare = sd()(PROMPT, num_inference_steps=2, generator=generator).images[0]
    assert np.abs(pixels(made)[0] - np.asarray(bare).astype(int)).max() <= 1
    assert made.note.startswith("A hidden word is masked in every text encoder")


@pytest.mark.parametrize("which", [sd, sdxl, sd3])
def test_the_unconditional_branch_is_left_alone_even_if_it_reads_the_same(which):
    group = tokens_of(which(), "cat")
    shown = told(which(), [[]], negative_prompt=PROMPT)
    for name, states in told(which(), [group], negative_prompt=PROMPT).items():
        torch.testing.assert_close(states[0], shown[name][0], rtol=0, atol=5e-6)
        assert not torch.allclose(states[1], shown[name][1])


def test_an_encoder_of_another_tokenizer_hides_the_same_words():
    # FLUX pools CLIP, whose tokens are not those that the image attends to.
    group = tokens_of(flux(), "turtle", prompt="a turtle on grass")
    first = told(flux(), [group], prompt="a turtle on grass")
    second = told(flux(), [group], prompt="a tuttle on grass")
    torch.testing.assert_close(
        first["pooled_projections"], second["pooled_projections"], rtol=0, atol=5e-6
    )


def test_the_second_of_two_equal_words_is_hidden_alone():
    prompt = "a cat and a cat"
    first, second = (tokens_of(flux(), word, prompt=prompt) for word in ("cat", "cat#2"))
    assert first != second
    whole = told(flux(), [[], first, second], prompt=prompt)["pooled_projections"]
    assert len({tuple(row) for row in whole.round(decimals=4).tolist()}) == 3


class Deaf(nn.Module):
    """A text encoder that does not obey its attention mask."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.config = encoder, encoder.config
        self.dtype, self.device = encoder.dtype, encoder.device

    def forward(self, input_ids, attention_mask=None, **options):
        return self.encoder(input_ids, **options)


class Maskless(Deaf):
    """A text encoder that takes none."""

    def forward(self, input_ids, **options):
        return self.encoder(input_ids)


def with_encoder(kind):
    pipeline = tiny.tiny_pipeline()
    object.__setattr__(pipeline, "text_encoder", kind(pipeline.text_encoder))
    return pipeline


@pytest.mark.parametrize(
    ("kind", "why"), [(Deaf, "reads masked tokens"), (Maskless, "takes no attention mask")]
)
def test_an_encoder_that_cannot_mask_has_the_word_deleted_and_it_is_said(kind, why):
    pipeline = with_encoder(kind)
    made = hide_words(pipeline, settings(), [tokens_of(pipeline, "cat")])
    assert made.how == "deleted"
    assert made.note.startswith("A hidden word is deleted from the prompt, because the text_")
    assert why in made.note
    generator = torch.Generator().manual_seed(0)
    options = {"num_inference_steps": 2, "generator": generator}
    bare = sd()("a red on grass", **options).images[0]
    assert np.abs(pixels(made)[0] - np.asarray(bare).astype(int)).max() <= 1


def test_a_prompt_that_the_encoder_is_not_seen_to_read_is_deleted_from(monkeypatch):
    # As where the pipeline rewrites the prompt; its words cannot be read then, so another reads.
    text = TextToImage.of(sd()).tokenize(PROMPT)
    monkeypatch.setattr(TextToImage, "tokenize", lambda *_, **how: text)
    pipeline = tiny.tiny_pipeline()
    pipeline.encode_prompt = lambda prompt, *rest, **options: type(pipeline).encode_prompt(
        pipeline, [f"{each} sky" for each in prompt], *rest, **options
    )
    made = hide_words(pipeline, settings(), [text.spelled(["cat"])])
    assert made.how == "deleted"
    assert "read the prompt 0 times for 1 images" in made.why


def test_nothing_stays_on_the_pipeline():
    hide_words(sd(), settings(), [tokens_of(sd(), "cat")])
    for module in (sd().text_encoder, sd().unet):
        assert not module._forward_pre_hooks


def test_words_are_deleted_with_the_space_beside_them():
    text = TextToImage.of(sd()).tokenize("a big, red  cat")
    told = {word: hidden.without(text, text.spelled([word])) for word in ("a", ",", "red", "cat")}
    assert told == {
        "a": "big, red cat",
        ",": "a big red cat",
        "red": "a big, cat",
        "cat": "a big, red",
    }
    assert hidden.without(text, []) == "a big, red  cat"
    assert hidden.without(text, text.pads[:1]) == "a big, red  cat"


def test_seeds_go_with_groups_and_batches_change_nothing(monkeypatch):
    group = tokens_of(sd(), "cat")
    whole = hide_words(sd(), settings(), [[], group, []], seeds=[1, 1, 2])
    monkeypatch.setattr(batches, "ROWS", 2)
    told = []
    parted = hide_words(
        sd(), settings(), [[], group, []], seeds=[1, 1, 2], progress=lambda *at: told.append(at)
    )
    assert np.abs(pixels(whole) - pixels(parted)).max() <= 1
    alone = hide_words(sd(), settings(seed=2), [[]])
    assert np.abs(pixels(whole)[2:] - pixels(alone)).max() <= 1
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_what_is_no_token_is_refused():
    with pytest.raises(ArgumentError, match="token 16 is not in the prompt, which has 16 tokens"):
        hide_words(sd(), settings(), [[16]])
    with pytest.raises(ArgumentError, match="there are 1 seeds for 2 images"):
        hide_words(sd(), settings(), [[], []], seeds=[1])
