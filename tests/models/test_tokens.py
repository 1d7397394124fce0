"""Which token is which word: by what the pipeline itself gives its text encoders."""

import functools

import pytest
import torch

import joint
import tiny
from looks import tokenized, told
from regard.errors import ArgumentError, UnknownName
from regard.generation import Request
from regard.look import look
from regard.methods import drop
from regard.models import TextToImage
from regard.tap import TO_TEXT, Tap
from regard.trace import words_of

pytestmark = pytest.mark.filterwarnings("ignore:.*mean_resizing:UserWarning")


def concept(vectors, seed=0):
    return tiny.noise(vectors, 16, seed=seed)


def taught(concepts, make=tiny.tiny_pipeline):
    pipeline = make()
    for number, (name, vectors) in enumerate(concepts.items()):
        pipeline.load_textual_inversion({name: concept(vectors, seed=number)})
    return pipeline


@functools.cache
def toys():
    return taught({"<toy>": 3, "<bear>": 3, "<one>": 1, "sks": 2})


def tiny_sdxl():
    from diffusers import StableDiffusionXLPipeline

    first, second = tiny.tiny_tokenizer(), tiny.tiny_tokenizer()
    parts = tiny.tiny_pipeline().components
    pipeline = StableDiffusionXLPipeline(
        vae=parts["vae"], unet=parts["unet"], scheduler=parts["scheduler"],
        text_encoder=tiny.tiny_text_encoder(first), tokenizer=first,
        text_encoder_2=joint.tiny_clip(second), tokenizer_2=second, add_watermarker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def prompt_of(pipeline, text):
    return tokenized(pipeline, text)


def encoded(pipeline, text):
    """What the image attends to of a prompt, [token, width], as the pipeline computes it."""
    found = pipeline.encode_prompt(
        text, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False
    )
    return found[0][0]


def first_change(pipeline, text, other):
    """The first token whose vector changes when a word is exchanged; the encoder is causal."""
    rows = (encoded(pipeline, text) - encoded(pipeline, other)).abs().amax(-1)
    return int((rows > 1e-6).nonzero()[0])


@pytest.mark.parametrize(
    ("text", "word", "other"),
    [
        ("a <toy> and a cat on grass", "cat", "dog"),
        ("a <toy> and a cat on grass", "<toy>", "<bear>"),
        ("a <toy> and a <bear> on grass", "<bear>", "<toy>"),
        ("a <toy>, a <toy> and a cat", "cat", "dog"),
        ("a <one> and a cat", "cat", "dog"),
        ("a <one> <toy> sks cat", "cat", "dog"),
        ("a cat <toy>", "cat", "dog"),
        ("<toy> cat", "cat", "dog"),
        ("a sks cat", "cat", "dog"),
        ("cat", "cat", "dog"),
    ],
)
def test_the_first_vector_that_an_exchanged_word_changes_is_its_own(text, word, other):
    exchanged = other.join(text.rsplit(word, 1))
    own = prompt_of(toys(), text).spelled([word])
    assert own[0] == first_change(toys(), text, exchanged)


def test_the_vectors_of_a_concept_are_one_word_under_its_own_name():
    told = prompt_of(toys(), "a <toy> and <toy> sks a <Cat>")
    names = [token.name for token in told.tokens]
    assert names[:6] == ["[start]", "a", "<toy>", "<toy>", "<toy>", "and"]
    assert told.spelled(["<toy>"]) == [2, 3, 4]
    assert len(told.spelled(["<toy>#2"])) == 3
    assert len(told.spelled(["sks"])) == 2
    assert told.spelled(["Cat"])  # no concept, so the brackets are words of their own
    assert told.spelled(["<"])


def test_a_concept_of_one_vector_is_one_word():
    told = prompt_of(toys(), "a <one> cat")
    assert [token.name for token in told.tokens[:5]] == ["[start]", "a", "<one>", "cat", "[end]"]


def hidden(pipeline, text, word):
    """The keys that get no attention when a word is dropped."""
    gone = []

    def note(call):
        rows = call.probs(batch=call.rows_of("cond"))
        gone.append((rows.amax((0, 1, 2)) == 0).nonzero()[:, 0].tolist())

    (select, edit), *_ = drop(word).plan(run_of(pipeline, text)).edits
    with Tap(pipeline, edit=[(select, edit)], observe=[(TO_TEXT, note)]):
        tiny.generate(pipeline, text, steps=1)
    assert all(each == gone[0] for each in gone)
    return gone[0]


def run_of(pipeline, text):
    return told(pipeline, Request(text, num_inference_steps=1))


def test_what_is_dropped_and_what_is_mapped_are_the_words_own_keys():
    text = "a <toy> and a cat on grass"
    assert hidden(toys(), text, "cat") == [7]
    assert hidden(toys(), text, "<toy>") == [2, 3, 4]
    seen = look(toys(), text, num_inference_steps=1)
    assert seen.trace.tokens_of("cat") == [7]
    assert "<toy>" in seen.trace.word_names
    only = look(toys(), text, num_inference_steps=1, words=["<toy>"])
    together = seen.trace.token_maps(tokens=[2, 3, 4]).sum("token")
    torch.testing.assert_close(
        torch.tensor(only.trace.heatmap("<toy>").values), torch.tensor(together.values)
    )


def test_a_concept_takes_room_and_what_is_cut_off_is_told():
    text = "a <toy> <bear> <toy> and a cat on grass with a dog in snow"
    told = prompt_of(toys(), text)
    last = [token.name for token in told.tokens if token.role == "word"][-1]
    assert (last, told.cut) == ("on", "grass with a dog in snow")
    with pytest.raises(Exception, match="would cut this off: 'grass with"):
        TextToImage.of(toys()).tokenize(text, whole=True)
    with pytest.raises(UnknownName, match="cut this off"):
        told.spelled(["dog"])


def test_two_encoders_that_were_both_taught_agree():
    pipeline = tiny_sdxl()
    for name in ("text_encoder", "text_encoder_2"):
        parts = (
            getattr(pipeline, name),
            getattr(pipeline, name.replace("text_encoder", "tokenizer")),
        )
        pipeline.load_textual_inversion(
            {"<toy>": concept(3)}, text_encoder=parts[0], tokenizer=parts[1]
        )
    text = "a <toy> and a cat on grass"
    told = prompt_of(pipeline, text)
    assert (
        told.spelled(["cat"]) == [7] == [first_change(pipeline, text, text.replace("cat", "dog"))]
    )


@pytest.mark.parametrize("which", ["", "_2"])
def test_a_concept_that_only_one_of_two_joined_encoders_knows_is_refused(which):
    pipeline = tiny_sdxl()
    pipeline.load_textual_inversion(
        {"<toy>": concept(3)},
        text_encoder=getattr(pipeline, f"text_encoder{which}"),
        tokenizer=getattr(pipeline, f"tokenizer{which}"),
    )
    with pytest.raises(ArgumentError, match="regard: the text encoders .* at different tokens"):
        prompt_of(pipeline, "a <toy> and a cat on grass")
    assert prompt_of(pipeline, "a cat on grass").spelled(["cat"]) == [2]


def test_encoders_one_behind_the_other_have_a_word_each_for_itself():
    told = prompt_of(joint.tiny_sd3_pipeline(), "a cat on grass")
    assert told.spelled(["cat"]) == [2, 16 + 1]
    told = prompt_of(joint.tiny_sd3_pipeline(t5=False), "a cat on grass")
    assert told.spelled(["cat"]) == [2]
    assert prompt_of(joint.tiny_flux_pipeline(), "a cat on grass").spelled(["cat"]) == [1]


def test_tokens_that_are_not_those_of_the_prompt_are_refused():
    pipeline = tiny.tiny_pipeline()
    encode = pipeline.encode_prompt
    pipeline.encode_prompt = lambda prompt, *rest, **named: encode(
        ["photo " + each for each in prompt], *rest, **named
    )
    with pytest.raises(
        ArgumentError, match="regard: text_encoder is given tokens that are not those"
    ):
        prompt_of(pipeline, "a cat on grass")
    with pytest.raises(ArgumentError, match="it cannot be said which of them are which word"):
        look(pipeline, "a cat on grass", num_inference_steps=1)


def test_nothing_is_left_on_the_encoders_and_nothing_is_generated():
    pipeline = tiny.tiny_pipeline()
    prompt_of(pipeline, "a cat")
    assert not pipeline.text_encoder._forward_pre_hooks
    assert tiny.generate(pipeline, "a cat", steps=1).shape == (1, 4, 8, 8)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("लाल बिल्ली", ["लाल", "बिल्ली"]),
        ("हिन्दी। किताब", ["हिन्दी", "।", "किताब"]),
        ("می\u200cروم گربه", ["می\u200cروم", "گربه"]),
        ("قِطَّةٌ حمراء", ["قِطَّةٌ", "حمراء"]),
        ("แมวสีแดง สวย", ["แมวสีแดง", "สวย"]),
        ("க்ஷ தமிழ்", ["க்ஷ", "தமிழ்"]),
        ("a 👩\u200d🚀 ❤\ufe0f 👍🏽", ["a", "👩\u200d🚀", "❤\ufe0f", "👍🏽"]),
        ("1\ufe0f\u20e3 cat", ["1\ufe0f\u20e3", "cat"]),
        ("빨간 고양이", ["빨간", "고양이"]),
        ("me\u0300o d\u0323o\u0309", ["me\u0300o", "d\u0323o\u0309"]),
        ("שָׁלוֹם עולם", ["שָׁלוֹם", "עולם"]),
        ("co\u00adop", ["co\u00adop"]),
        ("रा\u200dम's t-shirt", ["रा\u200dम's", "t-shirt"]),
        ("\u0301a", ["\u0301", "a"]),
        ("'cat' -- dog-", ["'", "cat", "'", "--", "dog", "-"]),
    ],
)
def test_words_in_scripts_with_marks_stay_whole(text, words):
    assert [word for word, _, _ in words_of(text)] == words


def test_a_concept_is_one_word_where_the_prompt_says_so():
    assert words_of("a <toy>'s hat", [(2, 7)]) == [
        ("a", 0, 1), ("<toy>", 2, 7), ("'", 7, 8), ("s", 8, 9), ("hat", 10, 13)
    ]  # fmt: skip
