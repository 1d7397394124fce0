"""A text encoder as a function of the embeddings of its tokens, and latents of an image."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor, nn

from regard.arguments import caller
from regard.errors import ArgumentError
from regard.models.text_to_image import TextToImage
from regard.zoo.pixels import to_tensor


@dataclass(frozen=True, eq=False)
class TextStates:
    """The only text encoder of a model, as a function of the embeddings of its tokens.

    Attributes:
        encoder: The module.
        tokenizer: Its tokenizer.
        table: Its table of embeddings.
    """

    encoder: nn.Module
    tokenizer: Any
    table: nn.Module

    @classmethod
    def of(cls, model: TextToImage) -> "TextStates":
        """The text encoder of a model that has exactly one.

        Raises:
            ArgumentError: it has none, or several.
        """
        encoder = getattr(model.pipeline, "text_encoder", None)
        if encoder is None or getattr(model.pipeline, "text_encoder_2", None) is not None:
            raise ArgumentError(
                f"{caller()}: {model.class_name} needs exactly one text encoder here. "
                f"Leave out through_encoder=True."
            )
        return cls(encoder, model.pipeline.tokenizer, encoder.get_input_embeddings())

    def embedded(self, text: str) -> Float[Tensor, "token width"]:
        """The embeddings of the tokens of a text, padded as the pipeline pads."""
        ids = self.tokenizer(text, padding="max_length", truncation=True, return_tensors="pt")
        with torch.no_grad():
            return self.table(ids.input_ids.to(self.table.weight.device))[0]

    def __call__(
        self, embeddings: Float[Tensor, "point token width"]
    ) -> Float[Tensor, "point token state"]:
        """The states of the text, with these embeddings in place of those of the table."""
        hook = self.table.register_forward_hook(lambda *_: embeddings)
        try:
            ids = torch.zeros(embeddings.shape[:2], dtype=torch.long, device=embeddings.device)
            return self.encoder(ids)[0]
        finally:
            hook.remove()

    def check(self, embeddings: Tensor, states: Tensor) -> None:
        """Refuse a pipeline that makes its states in another way.

        Raises:
            ArgumentError: the states of these embeddings are others.
        """
        with torch.no_grad():
            made = self(embeddings[None])[0]
        if made.shape != states.shape or not torch.allclose(made, states, atol=1e-3):
            raise ArgumentError(
                f"{caller()}: the text states of this pipeline are not just what its text "
                f"encoder returns. Leave out through_encoder=True."
            )


@torch.no_grad()
def latents_of(model: TextToImage, image: Image.Image) -> Float[Tensor, "1 channel y x"]:
    """What the autoencoder makes of an image, scaled as the denoiser knows it.

    Raises:
        ArgumentError: it is NaN or infinite.
    """
    vae = model.pipeline.vae
    encoded = vae.encode(to_tensor([image]).to(vae.device, vae.dtype)).latent_dist.mode()
    shift = getattr(vae.config, "shift_factor", None) or 0.0
    latents: Tensor = ((encoded - shift) * vae.config.scaling_factor).float()
    if not bool(torch.isfinite(latents).all()):
        raise ArgumentError(
            f"{caller()}: the autoencoder gives NaN or infinite latents in "
            f"{str(vae.dtype).removeprefix('torch.')}. Load the model in float32."
        )
    return latents
