"""One image, fully described: what decides it beside the model, checked before any model runs."""

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypedDict

from regard.arguments import caller, shown
from regard.errors import ArgumentError, DataError, nearest
from regard.generation.values import (
    check_prompt,
    check_text,
    checked_count,
    checked_guidance,
    checked_methods,
    checked_seed,
)


class Sampling(TypedDict, total=False):
    """What every function that generates takes as keyword arguments, under diffusers' names.

    Attributes:
        seed: Decides the initial noise and the noise of the scheduler; 0 if left out.
        num_inference_steps: Denoising steps; the model's own number if left out.
        guidance_scale: Weight of classifier-free guidance, up to 1 is off; the model's own if left
            out.
        negative_prompt: What to guide away from; nothing if left out. FLUX has a second branch
            only where there is one; else its guidance is a number that it is conditioned on.
        height: Rows of the image in pixels; the model's own if left out.
        width: Columns of the image in pixels; the model's own if left out.
        latents: The initial noise itself, a tensor [1, channel, y, x], for FLUX packed as
            [1, patch, channel]; drawn from the seed if left out.
    """

    seed: int
    num_inference_steps: int | None
    guidance_scale: float | None
    negative_prompt: str
    height: int | None
    width: int | None
    latents: Any


@dataclass(frozen=True, eq=False)
class Request:
    """One image to be generated. Two requests are equal if they decide the same image.

    Args:
        prompt: What to generate.
        negative_prompt: As in `Sampling`.
        seed: As in `Sampling`.
        num_inference_steps: As in `Sampling`; None leaves it to the model.
        guidance_scale: As in `Sampling`; None leaves it to the model.
        height: As in `Sampling`; None leaves it to the model.
        width: As in `Sampling`; None leaves it to the model.
        methods: What is changed meanwhile, as `regard.methods` makes it, in this order.
        latents: As in `Sampling`.

    Raises:
        PromptError: a prompt is empty, or no text.
        ArgumentError: another value is of the wrong type, or lies outside what it may be.

    Example:
        >>> Request("a cat", seed=1) == Request("a cat", seed=1)
        True
        >>> Request("a cat", num_inference_steps=0)
        Traceback (most recent call last):
            ...
        regard.errors.ArgumentError: regard: num_inference_steps is 0 and must be 1 or more; 30 \
is usual.
    """

    prompt: str
    negative_prompt: str = ""
    seed: int = 0
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    height: int | None = None
    width: int | None = None
    methods: Sequence[Any] = ()  # of Method; its package imports torch, so it is not named
    latents: Any = None

    def __post_init__(self) -> None:
        check_prompt(self.prompt)
        check_text(self.negative_prompt, "negative prompt")
        side = " pixels. Leave it out for the model's own."
        checked = {
            "seed": checked_seed(self.seed),
            "num_inference_steps": checked_count(
                self.num_inference_steps, "num_inference_steps", "; 30 is usual."
            ),
            "guidance_scale": checked_guidance(self.guidance_scale),
            "height": checked_count(self.height, "height", side),
            "width": checked_count(self.width, "width", side),
            "methods": checked_methods(self.methods),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(cls, prompt: str, sampling: Mapping[str, Any], methods: Sequence[Any] = ()) -> "Request":
        """A request from the keyword arguments of a function that takes `Sampling`.

        Raises:
            ArgumentError: there is no such argument, or as for `Request`.
            PromptError: as for `Request`.

        Example:
            >>> Request.of("a cat", {"steps": 30})
            Traceback (most recent call last):
                ...
            regard.errors.ArgumentError: regard: there is no argument 'steps'. Did you mean \
'num_inference_steps'? ...
        """
        known = Sampling.__annotations__
        strange = next((name for name in sampling if name not in known), None)
        if strange is not None:
            guess = OLD_NAMES.get(strange) or nearest(strange, known)[0]
            raise ArgumentError(
                f"{caller()}: there is no argument '{strange}'. Did you mean '{guess}'? An image "
                f"is described by {', '.join(known)}."
            )
        return cls(prompt, methods=methods, **sampling)

    @property
    def size(self) -> tuple[int, int] | None:
        """Rows and columns in pixels; None where both are the model's own.

        Raises:
            AssertionError: one of the two is not decided yet.
        """
        if self.height is None and self.width is None:
            return None
        assert self.height is not None, "the model decides it"
        assert self.width is not None, "the model decides it"
        return self.height, self.width

    @property
    def read(self) -> str:
        """The prompt that the image reads: that of a method, or else the request's own.

        Raises:
            ArgumentError: two methods have one.
        """
        own = [each.prompt for each in self.methods if each.prompt is not None]
        if len(own) > 1:
            raise ArgumentError(
                f"{caller()}: an image reads one prompt, and {len(own)} of its methods have one: "
                f"{', '.join(map(repr, own))}. Generate one image for each."
            )
        return own[0] if own else self.prompt

    @property
    def baseline(self) -> "Request":
        """The same request without methods."""
        return replace(self, methods=())

    def deleting(self, prompt: str) -> "Request":
        """The same request with what is left of its prompt when words are deleted, if anything.

        Example:
            >>> Request("a cat").deleting("").prompt
            ''
        """
        left = copy.copy(self)
        object.__setattr__(left, "prompt", prompt)  # nothing may be left, as users may not say
        return left

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values; of initial noise only its SHA-256.

        Example:
            >>> Request("a cat").to_json()["guidance_scale"] is None
            True
        """
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain["methods"] = [method.recipe() for method in self.methods]
        plain["latents"] = None if self.latents is None else _digest(self.latents)
        return plain

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Request":
        """A request again from what `to_json` gave.

        Raises:
            DataError: it had initial noise of its own, or a value is missing or of another type.

        Example:
            >>> Request.from_json(Request("a cat", seed=3).to_json()) == Request("a cat", seed=3)
            True
        """
        from regard.methods import from_recipe

        names = {field.name for field in fields(cls)}
        if not isinstance(values, Mapping) or not {"prompt"} <= set(values) <= names:
            raise DataError(
                f"{caller()}: a request has {', '.join(sorted(names))}, not "
                f"{', '.join(sorted(values)) if isinstance(values, Mapping) else shown(values)}."
            )
        if values.get("latents") is not None:
            raise DataError(
                f"{caller()}: this request had initial noise of its own, of which JSON keeps only "
                f"the checksum. Give it with latents=."
            )
        written = values.get("methods", ())
        if not isinstance(written, list | tuple):
            raise DataError(
                f"{caller()}: methods is {shown(written)} and must be a list of recipes of methods."
            )
        methods = tuple(from_recipe(each) for each in written)
        return cls(**{**values, "methods": methods})

    @property
    def key(self) -> str:
        """SHA-256 of all that decides the image, in hexadecimal."""
        text = json.dumps(self.to_json(), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Request) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


OLD_NAMES = {
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "size": "height",
    "generator": "seed",
}
"""What users of other libraries, or of earlier releases, may write, and what it is called here."""


# Inside


def _digest(latents: Any) -> str:
    """SHA-256 of initial noise: its shape, dtype and bytes."""
    import torch

    values = latents.detach().cpu().contiguous()
    raw = values.reshape(-1).view(torch.uint8).numpy().tobytes()
    return hashlib.sha256(f"{tuple(values.shape)} {values.dtype}".encode() + raw).hexdigest()
