"""A text-to-image pipeline of diffusers behind one face."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from regard.arguments import caller
from regard.errors import ArgumentError
from regard.layers import LayerInfo
from regard.models.families import Family, call_of
from regard.models.load import library_model, name_of
from regard.models.noise import Noise, noise_of
from regard.models.pipelines import denoiser_of, known_family
from regard.models.placement import Placement
from regard.models.recipe import differences, recipe_of
from regard.models.sizes import Size, check_latents, check_size, own_size
from regard.models.tokens import read, read_whole
from regard.models.vision import Vision, sees_pictures
from regard.tap import layer_infos
from regard.trace import Prompt
from regard.zoo import recipe as recipe_named
from regard.zoo import recipes, weights_sha256

USUAL_STEPS = 50
"""Denoising steps of a pipeline that has no number of its own."""

USUAL_GUIDANCE = 7.5
"""Guidance scale of a pipeline that has none of its own."""


@dataclass(frozen=True, eq=False, repr=False)
class TextToImage:
    """A text-to-image model: the user's own pipeline, and what all functions ask of it.

    Attributes:
        pipeline: The pipeline of diffusers, which is never changed for longer than a call.
        family: What is known of models of its kind.
        name: The name or folder under which it was opened, else that of its class.
    """

    pipeline: Any
    family: Family
    name: str

    @classmethod
    def of(cls, model: Any) -> "TextToImage":
        """A model from whatever names one.

        Args:
            model: A `TextToImage`, a pipeline of diffusers, or the name or folder of one.

        Raises:
            UnknownName: there is no such model.
            ArgumentError: it is no text-to-image pipeline, or its denoiser is of no known family.

        Example:
            >>> TextToImage.of("openmoji").name
            'openmoji'
        """
        if isinstance(model, str | os.PathLike):
            model = library_model(model, Placement.of())
        if isinstance(model, cls):
            return model
        if isinstance(model, Vision) or sees_pictures(model):
            raise ArgumentError(
                f"{caller()}: '{name_of(model)}' looks at images and generates none. Use "
                f"look_at(model, image), or regard look --image IMAGE."
            )
        return cls(model, known_family(model), name_of(model))

    def __repr__(self) -> str:
        return f"TextToImage({self.name}: {self.class_name}, {len(self.layers)} layers)"

    @property
    def class_name(self) -> str:
        """Of its pipeline, for messages."""
        return type(self.pipeline).__name__

    @property
    def tapped(self) -> Any:
        """What a `Tap` is opened on."""
        return self.pipeline

    @property
    def denoiser(self) -> nn.Module:
        """The UNet or transformer; the one inside where it was compiled."""
        network: nn.Module = denoiser_of(self.pipeline)
        return network

    @property
    def scheduler(self) -> Any:
        """The pipeline's scheduler."""
        return self.pipeline.scheduler

    @property
    def layers(self) -> list[LayerInfo]:
        """The attention layers of the denoiser in running order."""
        return layer_infos(self.pipeline)

    @property
    def has_joint_attention(self) -> bool:
        """Whether its image and text tokens are queries and keys of the same layers."""
        return self.family.joint

    @property
    def pads_with_end(self) -> bool:
        """Whether texts are filled up with their end token, as in Stable Diffusion 1."""
        tokenizers = [part.sources[0].tokenizer for part in self.family.parts(self.pipeline)]
        return all(
            each is not None and each.pad_token_id == each.eos_token_id for each in tokenizers
        )

    @property
    def size(self) -> Size:
        """Rows and columns in pixels of an image of the model's own size.

        Raises:
            ArgumentError: it is not known.
        """
        return own_size(self.pipeline)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all weights; see `regard.zoo.weights_sha256`."""
        return weights_sha256(self.pipeline)

    @property
    def reading(self) -> dict[str, Any]:
        """How words of this model are best read, as its recipe says; empty if never measured."""
        return dict(recipe_named(self.name).reading) if self.name in recipes() else {}

    @property
    def defaults(self) -> dict[str, Any]:
        """The model's own num_inference_steps and guidance_scale."""
        call = call_of(self.pipeline)
        usual = {"num_inference_steps": USUAL_STEPS, "guidance_scale": USUAL_GUIDANCE}
        own = {
            name: call[name].default if name in call and call[name].default is not None else value
            for name, value in usual.items()
        }
        return own | (recipe_named(self.name).sampling if self.name in recipes() else {})

    def decide(self, request: Any) -> Any:
        """A request with everything that was left to the model.

        Args:
            request: A `regard.generation.Request`.

        Returns:
            A request whose steps, guidance and size are numbers, or whose size is the pipeline's.

        Raises:
            ArgumentError: this model cannot make such an image, or this machine not hold it.
        """
        own = {name: value for name, value in self.defaults.items()
               if getattr(request, name) is None}  # fmt: skip
        if (request.height is None) != (request.width is None):
            rows, columns = self.size
            own["height"] = rows if request.height is None else request.height
            own["width"] = columns if request.width is None else request.width
        decided = replace(request, **own) if own else request
        self.check(decided)
        return decided

    def check(self, request: Any) -> None:
        """Refuse what this model cannot make, before it runs.

        Raises:
            ArgumentError: too many steps for the scheduler, a size that is no multiple of the unit,
                is known from nowhere, or for which this machine has too little memory, or initial
                noise of another shape.
        """
        most = self.scheduler.config.get("num_train_timesteps")
        if most is not None and request.num_inference_steps > most:
            raise ArgumentError(
                f"{caller()}: num_inference_steps is {request.num_inference_steps} and must be at "
                f"most {most}, as many as {type(self.scheduler).__name__} was trained with; 30 is "
                f"usual."
            )
        check_size(self.pipeline, self.family, request.size)
        if request.latents is not None:
            check_latents(self.pipeline, self.family, request.latents, request.size)

    def guided_apart(self, request: Any) -> bool:
        """Whether guidance takes an evaluation of its own in each step.

        FLUX is given its guidance as a number that it is conditioned on. Only with a negative
        prompt is it guided as others are, in two evaluations, by a scale that has another name.
        """
        own = "true_cfg_scale" in call_of(self.pipeline)
        return own and bool(request.negative_prompt) and request.guidance_scale > 1

    def guidance(self, request: Any) -> dict[str, float]:
        """The guidance scale of a request under the name that the pipeline has for it."""
        name = "true_cfg_scale" if self.guided_apart(request) else "guidance_scale"
        return {name: request.guidance_scale}

    def tokenize(self, prompt: str, *, whole: bool = False) -> Prompt:
        """A prompt as the text encoders take it: its tokens, and what does not fit.

        Args:
            prompt: The text.
            whole: Whether to refuse a prompt that is longer than a text encoder takes.

        Raises:
            PromptError: no token is made of it, or it is too long.
            ArgumentError: the pipeline has no tokenizer that can say where its tokens lie.
        """
        parts = self.family.parts(self.pipeline)
        return (read_whole if whole else read)(self.pipeline, prompt, parts)

    def noise(self, steps: int) -> Noise:
        """What is random in the steps of the scheduler, found by trying a copy of it."""
        return noise_of(self.pipeline, steps)

    def recipe(self) -> dict[str, Any]:
        """What decides an image beside the request, as plain JSON values."""
        return recipe_of(self.name, self.fingerprint, self.denoiser, self.scheduler)

    def differences(self, recipe: Mapping[str, Any]) -> list[str]:
        """In what this model differs from that of a recipe, a line each; none if it is the same.

        Args:
            recipe: With the keys of `recipe`, checked to be there.
        """
        return differences(self.recipe(), recipe)
