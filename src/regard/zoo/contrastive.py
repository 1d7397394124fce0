"""Task: a text-image model trained so that a picture and its caption point the same way."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from regard.zoo.pixels import to_tensor, training_scenes
from regard.zoo.recipe import Recipe
from regard.zoo.words import CONTEXT, tokenizer, with_filler


class ContrastiveTask:
    """Match each picture of a batch with its caption, and each caption with its picture."""

    part = ""

    def __init__(self, plan: Recipe, device: torch.device) -> None:
        from transformers import CLIPConfig, CLIPModel

        self.settings, self.device, self.tokenizer = plan.train, device, tokenizer()
        end, start = self.tokenizer.eos_token_id, self.tokenizer.bos_token_id
        text = {
            **plan.model["text"],
            "vocab_size": len(self.tokenizer),
            "max_position_embeddings": CONTEXT,
            "eos_token_id": end,
            "bos_token_id": start,
            "pad_token_id": end,
        }
        config = CLIPConfig(
            text_config=text,
            vision_config=plan.model["vision"],
            projection_dim=plan.model["projection_dim"],
            logit_scale_init_value=float(np.log(1 / self.settings["temperature"])),
        )
        self.network: Any = CLIPModel(config).to(device)

    def batch(self, step: int) -> dict[str, Tensor]:
        """Fresh scenes with their captions; equal captions share a number."""
        settings = self.settings
        scenes = training_scenes(
            step, settings["batch"], seed=settings["seed"], size=settings["size"]
        )
        rng = np.random.default_rng([settings["seed"], step])
        plain = [s.caption("literal" if rng.random() < 0.3 else "english") for s in scenes]
        same = {text: i for i, text in enumerate(dict.fromkeys(s.caption() for s in scenes))}
        ids = torch.tensor([same[s.caption()] for s in scenes])
        tokens = self.tokenizer(
            [with_filler(text, rng) for text in plain],
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        )
        return {
            "pixels": to_tensor(s.image for s in scenes).to(self.device),
            "tokens": tokens.input_ids.to(self.device),
            "same": (ids[:, None] == ids[None]).to(self.device),
        }

    def loss(self, batch: dict[str, Tensor], step: int) -> Tensor:
        """λ times the image-to-text cross-entropy plus (1 − λ) times the text-to-image one.

        From ``freeze_text_at`` on only the image tower learns: what `openmoji` reads stays as it
        is, so that the denoiser can be trained on it meanwhile (Zhai et al. 2022, LiT).
        """
        if step >= self.settings["freeze_text_at"]:
            self.network.text_model.requires_grad_(False)
            self.network.text_projection.requires_grad_(False)
        out = self.network(input_ids=batch["tokens"], pixel_values=batch["pixels"])
        return symmetric_loss(out.logits_per_image, batch["same"], self.settings["lambda"])

    def save(self, folder: Path) -> None:
        """Write model and tokenizer in the layout of transformers."""
        self.network.save_pretrained(folder, safe_serialization=True)
        self.tokenizer.save_pretrained(folder)


def symmetric_loss(logits: Tensor, same: Tensor, weight: float) -> Tensor:
    """The contrastive loss over a batch of pairs.

    Args:
        logits: Cosines over the temperature τ, float [image, text].
        same: bool [image, text]: true where the text is that image's caption; two pictures with
            one caption have two right answers each.
        weight: λ, the share of the image-to-text half.

    Returns:
        A scalar in nats; ln(batch) for a model that knows nothing.

    Example:
        >>> symmetric_loss(torch.zeros(4, 4), torch.eye(4, dtype=torch.bool), 0.5).exp().item()
        4.0

    Source:
        Zhang et al. (2020), ConVIRT, arXiv 2010.00747, eq. 4 (λ, τ); Radford et al. (2021), CLIP,
        arXiv 2103.00020, figure 3 (λ = 1/2).
    """
    target = same.float()
    to_text = F.cross_entropy(logits, target / target.sum(1, keepdim=True))
    to_image = F.cross_entropy(logits.mT, (target / target.sum(0, keepdim=True)).mT)
    return weight * to_text + (1 - weight) * to_image


def task(plan: Recipe, device: torch.device) -> ContrastiveTask:
    """The task that `regard.zoo.train` runs."""
    return ContrastiveTask(plan, device)
