"""A change that can act on nothing is refused."""

import pytest

import joint
from looks import pipeline, told
from regard.errors import ArgumentError, UnknownName
from regard.generation import Request
from regard.look import look
from regard.methods import Where, drop, identity, scale, scale_heads, scale_layers, temperature


def under(method, model=None, **options):
    return look(
        model or pipeline(), "a cat on grass", num_inference_steps=2, methods=[method], **options
    )


@pytest.mark.parametrize("make", [drop, lambda *a, **k: scale({"cat": 2.0}, **k)])
@pytest.mark.parametrize("guidance", [0.0, 1.0])
def test_a_half_that_guidance_leaves_out_is_refused_before_anything_runs(make, guidance):
    with pytest.raises(ArgumentError, match="condition is 'uncond', and with guidance [01] there"):
        under(make("cat", where={"condition": "uncond"}), guidance_scale=guidance)
    under(make("cat", where={"condition": "both"}), guidance_scale=guidance)


@pytest.mark.parametrize(
    ("method", "error", "message"),
    [
        (
            drop("cat", where=Where(layers="attn1")),
            ArgumentError,
            "^drop: 'attn1' is in the path of .* none of",
        ),
        (
            drop("cat", where=Where(layers="64x64")),
            ArgumentError,
            "^drop: this model has no attention that",
        ),
        (
            temperature(2.0, where=Where(layers="3x3")),
            ArgumentError,
            "^temperature: .* layers=3x3 is for",
        ),
        (
            identity(where=Where(layers="attn2")),
            ArgumentError,
            "^identity: 'attn2' is in the path of",
        ),
        (
            scale_layers(0.0, where=Where(layers=99)),
            ArgumentError,
            r"^scale_layers: layer is 99, and there are",
        ),
        (drop("cat", where=Where(layers="block")), UnknownName, "no layer is named 'block'"),
        (drop("cat", where=Where(layers="joint")), UnknownName, "no layer is named 'joint'"),
        (scale_heads(99, {0: 0.0}), ArgumentError, "^scale_heads: layer is 99, and there are"),
        (
            drop("cat", where=Where(layers="mid", stage="up")),
            UnknownName,
            "no layer is named 'mid'",
        ),
    ],
)
def test_layers_in_which_nothing_could_change_are_refused(method, error, message):
    with pytest.raises(error, match=message):
        under(method)


def test_a_half_that_this_model_never_shows_is_refused():
    model = joint.tiny_flux_pipeline()  # its guidance is a number to generate by, not a half
    with pytest.raises(ArgumentError, match="condition=uncond is for, so nothing changed"):
        under(drop("cat", where=Where(condition="uncond")), model)
    under(drop("cat", where=Where(condition="cond")), model)


def changed_layers(wanted):
    """The layers whose heads a method silences, by what comes out of them."""
    silent = []
    from regard.tap import Tap
    from tiny import generate

    settings = Request("a cat on grass", num_inference_steps=1)
    run = told(pipeline(), settings)
    edits = scale_layers(0.0, where=Where(layers=wanted, condition="both")).plan(run).edits
    note = lambda c: silent.append(c.layer) if not c.output.any() else None  # noqa: E731
    with Tap(pipeline(), edit=list(edits), observe=[note]):
        generate(pipeline(), "a cat on grass", steps=1)
    return silent


@pytest.mark.parametrize(
    "wanted", ["up", "mid_block", "4x4", "cross", "up_blocks.1", ["mid", "8x8"]]
)
def test_the_same_text_means_the_same_layers_in_a_trace_and_in_a_method(wanted):
    trace = look(pipeline(), "a cat on grass", num_inference_steps=1).trace
    in_trace = trace.heatmap("cat", layers=wanted).attrs["layers"]
    cross = [layer for layer in changed_layers(wanted) if layer in trace.layers]
    assert cross == in_trace


@pytest.mark.parametrize("number", [0, 2, -1])
def test_a_number_means_the_layer_that_the_word_is_read_in(number):
    text, seen = "a cat on grass", []
    trace = look(pipeline(), text, num_inference_steps=1).trace
    hidden = look(
        pipeline(),
        text,
        num_inference_steps=1,
        methods=[drop("cat", where=Where(layers=number))],
    ).trace
    for layer in trace.layers:
        if not hidden.heatmap("cat", layers=layer).values.any():
            seen.append(layer)
    assert seen == trace.heatmap("cat", layers=number).attrs["layers"]
