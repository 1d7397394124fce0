"""Task: write the caption of a scene, word by word."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regard.zoo.autoencoder import save_half
from regard.zoo.pixels import mixed, scenes_for_judges, to_tensor
from regard.zoo.recipe import Recipe
from regard.zoo.segmenter import IGNORED, softened
from regard.zoo.words import CONTEXT, tokenizer


class CaptionerTask:
    """Cross-entropy of each next token of the caption, on scenes softened at random."""

    part = ""

    def __init__(self, plan: Recipe, device: torch.device) -> None:
        from transformers import BlipConfig, BlipForConditionalGeneration

        self.settings, self.device = plan.train, device
        self.tokenizer = tokenizer(self.settings.get("scenes_version", 1))
        end = self.tokenizer.eos_token_id
        text = {
            **plan.model["text"],
            "vocab_size": len(self.tokenizer),
            "max_position_embeddings": CONTEXT,
            "bos_token_id": self.tokenizer.bos_token_id,
            "eos_token_id": end,
            # BLIP stops at 'sep', a token of BERT. The bundled tokenizer is laid out as CLIP's,
            # where one token both ends a text and fills it up.
            "sep_token_id": end,
            "pad_token_id": end,
        }
        config = BlipConfig(
            text_config=text,
            vision_config=plan.model["vision"],
            initializer_range=plan.model["initializer_range"],
        )
        self.network: Any = BlipForConditionalGeneration(config).to(device)

    def batch(self, step: int) -> dict[str, Tensor]:
        """Scenes, most of them with two subjects, and their captions."""
        scenes = scenes_for_judges(step, self.settings)
        tokens = self.tokenizer(
            [each.caption() for each in scenes], padding=True, return_tensors="pt"
        )
        return {
            "pixels": softened(to_tensor(s.image for s in scenes)).to(self.device),
            "tokens": tokens.input_ids.to(self.device),
            "labels": labels(tokens.input_ids, tokens.attention_mask).to(self.device),
        }

    def loss(self, batch: dict[str, Tensor], step: int) -> Tensor:
        """Mean cross-entropy over the tokens of the captions and the end, in nats."""
        with mixed(self.settings, self.device):
            out = self.network(
                pixel_values=batch["pixels"], input_ids=batch["tokens"], labels=batch["labels"]
            )
        return out.loss.float()

    def save(self, folder: Path) -> None:
        """Write network, tokenizer and image processor in the layout of transformers."""
        from transformers import BlipImageProcessorPil

        save_half(self.network, folder)
        self.tokenizer.save_pretrained(folder)
        side, half = self.network.config.vision_config.image_size, [0.5] * 3
        BlipImageProcessorPil(
            size={"height": side, "width": side}, image_mean=half, image_std=half
        ).save_pretrained(folder)


def labels(tokens: Tensor, real: Tensor) -> Tensor:
    """What is to be said: the tokens, up to the first end.

    Args:
        tokens: int64 [sample, token], filled up with the end token.
        real: [sample, token], 0 where a row is filled up.

    Returns:
        The same tokens, `IGNORED` where a row is filled up.

    Example:
        >>> labels(torch.tensor([[5, 1, 6, 6]]), torch.tensor([[1, 1, 1, 0]])).tolist()
        [[5, 1, 6, -100]]
    """
    return tokens.masked_fill(real == 0, IGNORED)


def task(plan: Recipe, device: torch.device) -> CaptionerTask:
    """The task that `regard.zoo.train` runs."""
    return CaptionerTask(plan, device)
