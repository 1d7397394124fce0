"""What was not understood is said, also where other attention was seen."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from regard.errors import NothingObserved
from regard.tap import Tap
from tiny import generate, noise, tiny_pipeline, tiny_vit


class Attention(nn.Module):
    def __init__(self, attend) -> None:
        super().__init__()
        self.attend, self.inner = attend, nn.Identity()

    def forward(self, x):
        return self.attend(self.inner(x))


def in_the_open(x):
    return (x @ x.mT).softmax(-1) @ x


def by_einsum(x):
    weights = torch.einsum("bhqd,bhkd->bhqk", x, x).softmax(-1)
    return torch.einsum("bhqk,bhkd->bhqd", weights, x)


def reshaped_between(x):
    weights = (x @ x.mT).softmax(-1).flatten(0, 1)
    return (weights @ x.flatten(0, 1)).reshape(x.shape)


def difference_of_two(x):
    one, other = (x @ x.mT).softmax(-1), (x @ (2 * x).mT).softmax(-1)
    return (one - other) @ x


def over_three_axes(x):
    scores = torch.einsum("hqd,hkd->hqk", x[0], x[0])
    return torch.einsum("hqk,hkd->hqd", functional.softmax(scores, 2), x[0])[None]


def report_of(*attend, head: bool = True) -> str:
    model = nn.Sequential(*map(Attention, attend))
    x = noise(1, 2, 3, 4)
    with torch.no_grad(), Tap(model) as tap:
        for _ in range(3):
            out = model(x)
            if head:
                out.flatten(1).softmax(-1)
    return tap.report()


@pytest.mark.parametrize(
    "hidden", [by_einsum, reshaped_between, difference_of_two, over_three_axes]
)
def test_a_softmax_that_never_became_attention_is_named_beside_others(hidden):
    told = report_of(in_the_open, hidden)
    assert told.startswith("Sequential: 1 attention call in 1 layer. These ran without")
    assert told.endswith("Not understood: a softmax that did not meet its values in 1.")


def test_one_that_did_and_one_that_did_not_in_one_layer():
    told = report_of(lambda x: in_the_open(x) + by_einsum(x))
    assert "Not understood: a softmax that did not meet its values in 0." in told


def test_attention_that_was_seen_is_not_named_again():
    assert report_of(in_the_open, in_the_open) == "Sequential: 2 attention calls in 2 layers."


def test_a_softmax_of_two_axes_is_that_of_a_classifier():
    class Classifier(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = Attention(in_the_open)

        def forward(self, x):
            return self.attention(x).flatten(1).softmax(-1)

    with torch.no_grad(), Tap(Classifier()) as tap:
        tap._roots[0].model(noise(1, 2, 3, 4))
    assert tap.report() == "Classifier: 1 attention call in 1 layer."


def test_a_softmax_alone_is_told_where_nothing_was_seen():
    with pytest.raises(NothingObserved, match="did not meet its values in 0"):
        report_of(by_einsum)


def test_other_models_of_the_library_raise_no_alarm():
    with torch.no_grad(), Tap(tiny_vit()) as tap:
        tap._roots[0].model(noise(1, 3, 24, 24))
    assert tap.report() == "ViTModel: 2 attention calls in 2 layers."


def test_a_pipeline_is_told_whole_with_no_word_on_its_encoders():
    pipeline = tiny_pipeline()
    with Tap(pipeline) as tap:
        generate(pipeline, steps=2)
        generate(pipeline, steps=1)
        pipeline("a cat", num_inference_steps=2)  # decoded, too
    assert tap.report() == "UNet2DConditionModel: 14 attention calls in 14 layers."


@pytest.mark.parametrize("steps", [1, 2])
def test_a_controlnet_that_runs_in_the_steps_is_named(steps):
    from diffusers import ControlNetModel, StableDiffusionControlNetPipeline

    plain = tiny_pipeline()
    torch.manual_seed(0)
    control = ControlNetModel.from_unet(
        plain.unet, conditioning_embedding_out_channels=(4, 8)
    ).eval()
    pipeline = StableDiffusionControlNetPipeline(
        **plain.components, controlnet=control, requires_safety_checker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    with Tap(pipeline) as tap:
        pipeline(
            "a cat",
            image=torch.zeros(1, 3, 16, 16),
            num_inference_steps=steps,
            output_type="latent",
            height=16,
            width=16,
        )
    layers = sum(1 for name, _ in control.named_modules() if name.endswith(("attn1", "attn2")))
    assert f"not tapped: controlnet ({layers} attention layers)." in tap.report()
