"""Drawing with a user's pipeline as often as a check needs: same prompt, same first noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray

from regard.errors import ArgumentError, PromptError, unknown
from regard.tap import AttentionCall, Edit, Observer, Select, Tap
from regard.trace import Token, tokens_from_offsets

ROWS = 16
"""Images made at a time, as in `regard.look.prove`: more take memory and save no time."""

Pictures = UInt8[NDArray, "row high wide 3"]
Watching = Observer | tuple[Select, Observer]


@dataclass(frozen=True)
class Drawing:
    """What decides an image, beside the model.

    Attributes:
        caller: Who asks, for messages.
        prompt: What to draw.
        seed: Of the generator that draws the first noise.
        steps: Denoising steps.
        guidance: Weight of classifier-free guidance; up to 1 is off.

    Raises:
        PromptError: the prompt is empty.
        ArgumentError: steps is less than 1.
    """

    caller: str
    prompt: str
    seed: int = 0
    steps: int = 30
    guidance: float = 4.0

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise PromptError(f"{self.caller}: the prompt is empty and needs at least one word.")
        if self.steps < 1:
            raise ArgumentError(
                f"{self.caller}: steps is {self.steps} and must be 1 or more; 30 is usual."
            )

    def draw(
        self, pipeline: Any, rows: int = 1, *, observe: Sequence[Watching] = (), **options: Any
    ) -> Pictures:
        """The image, as many times as there are rows, in one batch.

        Args:
            pipeline: A text-to-image pipeline of diffusers.
            rows: Size of the batch.
            observe: As for `Tap`.
            options: ``edit``, as for `Tap`.

        Returns:
            The pictures that the pipeline itself decoded.
        """
        # On the CPU whatever the model's device, so that a seed means one image everywhere.
        noise = [torch.Generator().manual_seed(self.seed) for _ in range(rows)]
        with Tap(pipeline, observe=observe, **options):
            images = pipeline(
                [self.prompt] * rows,
                num_inference_steps=self.steps,
                guidance_scale=self.guidance,
                generator=noise,
            ).images
        return np.stack([np.asarray(image.convert("RGB")) for image in images])

    def draw_each(self, pipeline: Any, edits: Sequence[Edit | None]) -> Pictures:
        """One image for each edit, the image as it is where that is None.

        Args:
            pipeline: A text-to-image pipeline of diffusers.
            edits: One for each image, such as `on_rows` gives; those of one batch each get the
                call and must keep to the rows of their own image, whose number in the batch is
                their place modulo `ROWS`.
        """
        batches = [edits[first : first + ROWS] for first in range(0, len(edits), ROWS)]
        return np.concatenate(
            [
                self.draw(pipeline, len(batch), edit=[edit for edit in batch if edit is not None])
                for batch in batches
            ]
        )


def row_of(call: AttentionCall, sample: int) -> slice:
    """The conditional row of one image of a batch; empty if the call has none.

    Example:
        >>> from regard.tap.weights import Fused
        >>> query = torch.zeros(4, 1, 2, 4)
        >>> conditions = ("uncond", "uncond", "cond", "cond")
        >>> row_of(AttentionCall(Fused(query, query), query, conditions=conditions), 1)
        slice(3, 4, None)
    """
    rows = call.rows_of("cond")
    if rows.start == rows.stop:
        return rows
    return slice(rows.start + sample, rows.start + sample + 1)


def tokens_of(pipeline: Any, drawing: Drawing) -> tuple[Token, ...]:
    """The tokens of the prompt as the pipeline's text encoder takes them.

    Raises:
        ArgumentError: the pipeline has no tokenizer that can tell where its tokens lie.
        PromptError: the prompt is longer than the text encoder takes.
    """
    tokenizer = getattr(pipeline, "tokenizer", None)
    if not getattr(tokenizer, "is_fast", False):
        raise ArgumentError(
            f"{drawing.caller}: {type(pipeline).__name__} has no tokenizer that can say where in "
            f"the prompt its tokens lie. Load one with transformers.AutoTokenizer."
        )
    limit = tokenizer.model_max_length
    options = {"return_offsets_mapping": True, "return_special_tokens_mask": True}
    whole = tokenizer(drawing.prompt, truncation=True, max_length=limit + 1, **options)
    if len(whole["input_ids"]) > limit:
        raise PromptError(
            f"{drawing.caller}: the prompt is longer than the {limit} tokens that the text encoder "
            f"takes. Shorten it."
        )
    fitted = tokenizer(drawing.prompt, padding="max_length", max_length=limit, **options)
    special = [bool(mark) for mark in fitted["special_tokens_mask"]]
    last = max(index for index, mark in enumerate(special) if not mark)
    return tokens_from_offsets(
        drawing.prompt,
        tokenizer.convert_ids_to_tokens(fitted["input_ids"]),
        [tuple(span) for span in fitted["offset_mapping"]],
        special,
        end=last + 1 if last + 1 < len(special) else None,
        pads=range(last + 2, len(special)),
    )


def spelled(tokens: Sequence[Token], word: str) -> list[int]:
    """The indices of the tokens that spell a word, ``cat#2`` the second cat.

    Raises:
        UnknownName: the prompt has no such word.
    """
    found = [token.index for token in tokens if token.name.casefold() == word.casefold()]
    if not found:
        raise unknown("word", word, words_in(tokens))
    return found


def words_in(tokens: Sequence[Token]) -> list[str]:
    """The words of the prompt, in order."""
    return list(dict.fromkeys(token.name for token in tokens if token.role == "word"))
