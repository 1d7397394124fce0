"""Similarity of layer outputs to text tokens, as maps over the image."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from regard.axes import LAYER, STEP
from regard.errors import ArgumentError
from regard.tap.call import AttentionCall
from regard.tap.observers.text_maps import Columns, TextMaps
from regard.tap.segment import Segment


class OutputMap(TextMaps):
    """For each text token, how similar the output of each image token is to its own: shares of 1.

    What a layer computes at an image token is compared with what it computes at each text token,
    all heads together; a softmax over the tokens gives the shares. In joint attention text tokens
    have an output. In cross-attention they have none, and a token's value stands for it: what an
    image token gets that attends to this token alone. Memory: as `HeatMap` without heads.

    Args:
        tokens: Indices into the text: the words to separate. The start token, or another that
            no word names, takes what is similar to none of them.
        among: For each image of the batch those of ``tokens`` that its prompt has; the others get
            0. All if left out.
        sharpness: Factor of the cosine before the softmax; None takes the dot product instead.
        keep: Which of "step" and "layer" to keep; the others are averaged while running.
        condition: Which rows of the batch: 'cond' or 'uncond'.

    Raises:
        ArgumentError: no tokens, a negative one, an axis that cannot be kept, a sharpness that is
            not above 0, or an image among no tokens.

    Example:
        >>> OutputMap([0, 1, 2])
        OutputMap(tokens=[0, 1, 2], sharpness=5.0, keep=('step', 'layer'), condition='cond')

    Source:
        Helbling et al. (2025), "ConceptAttention: Diffusion Transformers Learn Highly Interpretable
        Features", arXiv 2502.04320. Differs from the paper: concepts are tokens of the prompt, so
        that the model computes nothing more; ``sharpness=None`` has the paper's dot product, but a
        cosine found more of what words name; and cross-attention is ours.
    """

    _name = "OutputMap"

    def __init__(
        self,
        tokens: Sequence[int],
        *,
        among: Sequence[Sequence[int]] | None = None,
        sharpness: float | None = 5.0,
        keep: Sequence[str] = (STEP, LAYER),
        condition: str = "cond",
    ) -> None:
        super().__init__(tokens, (), keep, condition)
        if sharpness is not None and not 0 < sharpness < float("inf"):
            raise ArgumentError(
                f"OutputMap: sharpness is {sharpness} and must be above 0 and finite. 5.0 is "
                f"usual; None takes the dot product."
            )
        if among is not None and not all(set(own) & set(self.tokens) for own in among):
            raise ArgumentError(
                f"OutputMap: an image is among none of the tokens {self.tokens}. Give each image "
                f"at least one of them."
            )
        self.sharpness, self._among = sharpness, among

    def __repr__(self) -> str:
        return (
            f"OutputMap(tokens={self.tokens}, sharpness={self.sharpness}, keep={self.keep}, "
            f"condition={self.condition!r})"
        )

    @classmethod
    def _keepable(cls) -> tuple[str, ...]:
        return (STEP, LAYER)

    def _columns(self, call: AttentionCall, rows: slice, image: Segment, text: Segment) -> Columns:
        assert call.output is not None, "observers run after the layer"
        output = call.output[rows].float()
        if call.known_layout("OutputMap").has(query="text"):
            own = output[..., call.known_layout("OutputMap").queries_of("text").slice, :]
        else:
            own = call.weights.widened(call.value)[rows].float()[..., text.slice, :]
        own = own.expand(-1, output.shape[1], -1, -1)[..., self.tokens, :]
        patches, tokens = (part.transpose(1, 2).flatten(2) for part in (output, own))
        patches = patches[:, image.slice]
        if self.sharpness is not None:
            patches = self.sharpness * functional.normalize(patches, dim=-1)
            tokens = functional.normalize(tokens, dim=-1)
        similarity = patches @ tokens.mT
        if self._among is not None:
            absent = self._absent(len(similarity), similarity.device)
            similarity = similarity.masked_fill(absent, -torch.inf)
        return similarity.softmax(-1)[:, None]

    def _absent(self, images: int, device: torch.device) -> Tensor:
        """[sample, 1, token]: which tokens the prompt of each image lacks."""
        assert self._among is not None
        if len(self._among) != images:
            raise ArgumentError(
                f"OutputMap: among has {len(self._among)} lists for {images} images. Give one each."
            )
        present = [[token in own for token in self.tokens] for own in map(set, self._among)]
        return ~torch.tensor(present, device=device)[:, None]
