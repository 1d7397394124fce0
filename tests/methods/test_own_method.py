"""A method of one's own, written with what `regard.methods` hands out and nothing else."""

import pytest
import torch

import regard.methods
from looks import generated, pipeline
from regard.errors import ArgumentError
from regard.generation import Request
from regard.methods import Changes, Run, Where, everywhere, method, scale

REQUEST = Request("a cat on grass", num_inference_steps=2, guidance_scale=3.0)


@method
def louder(word: str, factor: float = 2.0, *, where: Where = Where()):  # noqa: B008
    """Multiply the attention that a word gets."""

    def plan(run: Run) -> Changes:
        tokens = run.prompt.spelled([word])

        def edit(call):
            start = call.layout.keys_of("text").start
            call.scale_keys([start + token for token in tokens], factor)

        return everywhere(louder, run, where, edit, query="image", key="text")

    return plan


def test_all_that_it_takes_is_public():
    assert {"Changes", "Run", "Where", "everywhere", "method"} <= set(dir(regard.methods))
    assert {"Changes", "Run", "Where", "everywhere", "method"} <= set(regard.methods.__all__)


def test_it_does_what_the_built_in_one_does():
    own, built = generated(
        pipeline(),
        REQUEST,
        [{"methods": (louder("cat", 3.0),)}, {"methods": (scale({"cat": 3.0}),)}],
    )
    assert torch.equal(own.latents, built.latents)


def test_it_is_named_where_a_run_lacks_what_it_asks():
    with pytest.raises(ArgumentError, match=r"^louder: steps=\[0, 9\] includes step 8"):
        generated(pipeline(), REQUEST, [{"methods": (louder("cat", where=Where(steps=[0, 9])),)}])


def test_a_run_tells_of_its_model():
    told = []

    @method
    def asking():
        return lambda run: told.append(run.model) or Changes()

    generated(pipeline(), REQUEST, [{"methods": (asking(),)}])
    assert told[0].class_name == "StableDiffusionPipeline"
    assert not told[0].has_joint_attention
    assert told[0].size == (16, 16)
    assert told[0].pads_with_end == (
        pipeline().tokenizer.pad_token_id == pipeline().tokenizer.eos_token_id
    )
