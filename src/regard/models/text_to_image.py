"""A text-to-image pipeline of diffusers behind one face."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from regard.arguments import caller, listed, shown
from regard.errors import ArgumentError
from regard.layers import LayerInfo
from regard.models.families import Family, call_of, family_of
from regard.models.load import library_model, name_of
from regard.models.noise import Noise, noise_of
from regard.models.placement import Placement
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

MOST = 4
"""Settings of a scheduler that a message names at most."""


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
        _check_pipeline(model)
        denoiser = denoiser_of(model)
        family = family_of(denoiser)
        if family is None:
            raise ArgumentError(
                f"{caller()}: the denoiser of {type(model).__name__} is a "
                f"{type(denoiser).__name__}, whose image and text tokens are not known. Known are "
                f"{KNOWN}. Register another with regard.models.add_family, and with "
                f"regard.tap.layout_for."
            )
        return cls(model, family, name_of(model))

    def __repr__(self) -> str:
        return (
            f"TextToImage({self.name}: {type(self.pipeline).__name__}, {len(self.layers)} layers)"
        )

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
        return getattr(self.pipeline, "unet", None) is None

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
            rows, columns = self._own_size()
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
        if request.size is None:
            self._check_size_known()
        else:
            self._check_size(request.size)
        if request.latents is not None:
            self._check_latents(request.latents, request.size)

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
        return {
            "model": self.name,
            "weights_sha256": self.fingerprint,
            "dtype": str(self.denoiser.dtype).removeprefix("torch."),
            "scheduler": type(self.scheduler).__name__,
            "scheduler_config": _plain(dict(self.scheduler.config)),
            "versions": {
                name: version(name) for name in ("regard", "torch", "diffusers", "transformers")
            },
        }

    def differences(self, recipe: Mapping[str, Any]) -> list[str]:
        """In what this model differs from that of a recipe, a line each; none if it is the same.

        Args:
            recipe: With the keys of `recipe`, checked to be there.
        """
        here = self.recipe()
        lines = [
            f"its {name} is {here[name][:24]}, not {recipe[name][:24]}"
            for name in ("weights_sha256", "dtype", "scheduler")
            if recipe[name] != here[name]
        ]
        there, own = recipe["scheduler_config"], here["scheduler_config"]
        # What only one of them has came with another version of the library.
        shared = sorted(name for name in there if name in own and not name.startswith("_"))
        other = [name for name in shared if there[name] != own[name]]
        lines += [
            f"its scheduler's {name} is {own[name]}, not {repr(there[name])[:60]}"
            for name in other[:MOST]
        ]
        return lines + ([f"{len(other) - MOST} more"] if len(other) > MOST else [])

    # Inside

    def _check_size_known(self) -> None:
        if getattr(self.denoiser.config, "sample_size", 1) is None:
            raise ArgumentError(
                f"{caller()}: the configuration of the {type(self.denoiser).__name__} has no "
                f"sample_size, so the size of the image is unknown. Give height= and width=, or "
                f"--height and --width."
            )

    def _check_size(self, size: tuple[int, int]) -> None:
        unit = self.family.unit(self.pipeline)
        if any(side % unit for side in size):
            near = " x ".join(str(max(unit, round(side / unit) * unit)) for side in size)
            raise ArgumentError(
                f"{caller()}: the size is {size[0]} x {size[1]}, and both height and width must be "
                f"multiples of {unit} pixels. The nearest is {near}."
            )
        config = getattr(getattr(self.pipeline, "vae", None), "config", {})
        wide = config.get("block_out_channels") or [3]
        needed, there = size[0] * size[1] * wide[0] * 4, _memory()
        if there is not None and needed > there:  # one layer of the decoder, in full
            raise ArgumentError(
                f"{caller()}: the size is {size[0]} x {size[1]}, which needs "
                f"{needed / 2**30:,.0f} GB of memory at least, and this machine has "
                f"{there / 2**30:,.0f}. Choose a smaller one."
            )

    def _check_latents(self, latents: Any, size: tuple[int, int] | None) -> None:
        if not torch.is_tensor(latents) or not latents.is_floating_point():
            raise ArgumentError(
                f"{caller()}: latents is {shown(latents)} and must be a tensor of floats: the "
                f"initial noise. Leave it out to draw it from the seed."
            )
        wanted = self._shape_of_noise(size)
        if wanted is not None and tuple(latents.shape) != wanted:
            raise ArgumentError(
                f"{caller()}: latents are {tuple(latents.shape)} and must be {wanted} for this "
                f"model and size. Leave them out to draw them from the seed."
            )
        if not bool(torch.isfinite(latents).all()):
            raise ArgumentError(f"{caller()}: latents have NaN or infinity. Give finite noise.")

    def _shape_of_noise(self, size: tuple[int, int] | None) -> tuple[int, ...] | None:
        """Of one image, as the pipeline takes it; None where that is not known."""
        scale = getattr(self.pipeline, "vae_scale_factor", None)
        sides = self._own_latents()
        if size is not None and scale:
            sides = [side // scale for side in size]
        channels = getattr(self.denoiser.config, "in_channels", None)
        if not all(isinstance(each, int) for each in (*sides, channels)):
            return None
        return self.family.noise((sides[0], sides[1]), channels)

    def _own_latents(self) -> list[Any]:
        own = getattr(self.pipeline, "default_sample_size", None)
        own = own or getattr(self.denoiser.config, "sample_size", None)
        return listed(own) or [own, own]

    def _own_size(self) -> tuple[int, int]:
        """Rows and columns of an image of the model's own size, in pixels."""
        sides, scale = self._own_latents(), getattr(self.pipeline, "vae_scale_factor", None)
        if not scale or not all(isinstance(side, int) for side in sides):
            raise ArgumentError(
                f"{caller()}: the model's own size is not known. Give both height and width."
            )
        return sides[0] * scale, sides[1] * scale


KNOWN = "UNets and Stable Diffusion 3 or FLUX.1"
"""The families, for messages."""


def denoiser_of(pipeline: Any) -> Any:
    """The denoiser of a pipeline, a UNet or a transformer; None if it has neither."""
    found = (getattr(pipeline, name, None) for name in ("unet", "transformer"))
    network = next((each for each in found if each is not None), None)
    return getattr(network, "_orig_mod", network)  # the one inside a compiled one


def is_text_to_image(model: Any) -> bool:
    """Whether a model is a pipeline that `TextToImage.of` takes."""
    return (
        callable(model)
        and not isinstance(model, nn.Module)
        and not _lacking(model)
        and (family_of(denoiser_of(model)) is not None)
    )


def _lacking(pipeline: Any) -> list[str]:
    """What a pipeline needs to have and has not."""
    call = call_of(pipeline)
    lacking = ["unet"] if denoiser_of(pipeline) is None else []
    lacking += ["scheduler"] if getattr(pipeline, "scheduler", None) is None else []
    return lacking + [name for name in ("prompt", "callback_on_step_end") if name not in call]


def _check_pipeline(pipeline: Any) -> None:
    if not callable(pipeline):
        raise ArgumentError(
            f"{caller()}: model is {shown(pipeline)} and must be a text-to-image pipeline of "
            f"diffusers, or the name or folder of one, such as 'openmoji'."
        )
    lacking = _lacking(pipeline)
    if lacking:
        raise ArgumentError(
            f"{caller()}: {type(pipeline).__name__} has no {' and no '.join(lacking)}. Give a "
            f"text-to-image pipeline of diffusers with a UNet, such as 'openmoji', or with a "
            f"transformer of Stable Diffusion 3 or FLUX.1."
        )


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(config, default=str))
    return plain


def _memory() -> int | None:
    """Bytes that this machine has; None where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
