"""Task: a text-image model trained so that an image and its caption point the same way."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from regard.data.scenes import BACKGROUNDS, Articles, Mention, Relation, Scene, caption
from regard.zoo.autoencoder import save_half
from regard.zoo.pixels import mixed, to_tensor, training_scenes
from regard.zoo.recipe import Recipe
from regard.zoo.words import CONTEXT, padded, tokenizer, with_filler


class ContrastiveTask:
    """Match each image of a batch with its caption, and each caption with its image."""

    part = ""

    def __init__(self, plan: Recipe, device: torch.device) -> None:
        from transformers import CLIPConfig, CLIPModel

        self.settings, self.device = plan.train, device
        self.tokenizer = tokenizer(self.settings.get("scenes_version", 1))
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
        """Fresh scenes, what is said of each, and which text is true of which image."""
        settings = self.settings
        scenes = training_scenes(step, settings["batch"], settings)
        rng = np.random.default_rng([settings["seed"], step])
        said = [some_of(each, rng) for each in scenes]
        plain = [each.caption("literal" if rng.random() < 0.3 else "english") for each in said]
        tokens = padded(self.tokenizer, [with_filler(text, rng) for text in plain])
        return {
            "pixels": to_tensor(s.image for s in scenes).to(self.device),
            "tokens": tokens.to(self.device),
            "same": torch.tensor([[each.is_true_of(s) for each in said] for s in scenes]).to(
                self.device
            ),
        }

    def loss(self, batch: dict[str, Tensor], step: int) -> Tensor:
        """λ times the image-to-text cross-entropy plus (1 − λ) times the text-to-image one.

        From the recipe's step ``text_until`` on the text tower rests, since denoisers read it then.
        """
        learns = step < self.settings.get("text_until", float("inf"))
        for part in (self.network.text_model, self.network.text_projection):
            part.requires_grad_(learns)
        with mixed(self.settings, self.device):
            out = self.network(input_ids=batch["tokens"], pixel_values=batch["pixels"])
        return symmetric_loss(out.logits_per_image.float(), batch["same"], self.settings["lambda"])

    def save(self, folder: Path) -> None:
        """Write model and tokenizer in the layout of transformers."""
        save_half(self.network, folder)
        self.tokenizer.save_pretrained(folder)


@dataclass(frozen=True)
class Said:
    """What a caption says of a scene: all of its subjects, perhaps no colours, ground, relation."""

    mentions: tuple[Mention, ...]
    background: str | None
    relation: Relation = "and"

    def caption(self, articles: Articles) -> str:
        """In the grammar of the scenes."""
        return caption(self.mentions, self.background, articles, self.relation)

    def is_true_of(self, scene: Scene) -> bool:
        """Whether a scene shows as many of these and no others, so coloured and placed."""
        if self.background not in (None, scene.background):
            return False
        shown = {each.subject: each for each in scene.mentions}
        return (
            shown.keys() == {each.subject for each in self.mentions}
            and all(each.count == shown[each.subject].count for each in self.mentions)
            and all(each.colour in (None, shown[each.subject].colour) for each in self.mentions)
            and self._stand_so_in(scene)
        )

    def _stand_so_in(self, scene: Scene) -> bool:
        if self.relation == "and":  # which says nothing of how they stand
            return True
        first = self.mentions[0].subject == scene.mentions[0].subject
        return self.relation == scene.relation and (first or self.relation == "next to")


def some_of(scene: Scene, rng: np.random.Generator) -> Said:
    """What one may say of a scene: half of the time without its ground, a third without colours.

    Colours and grounds alone set most images of a batch apart; only where they are left unsaid
    must the shapes of things be learnt. A quarter leaves unsaid how two things stand.

    Example:
        >>> from regard.data import scene
        >>> some_of(scene(3), np.random.default_rng(0)).is_true_of(scene(3))
        True
    """
    mentions, relation = scene.mentions, scene.relation
    if rng.random() < 1 / 3:
        mentions = tuple(replace(each, colour=None) for each in mentions)
    named = rng.random() < 0.5 and scene.background in BACKGROUNDS
    if relation != "and" and rng.random() < 0.25:
        relation = "and"
    return Said(mentions, scene.background if named else None, relation)


def symmetric_loss(logits: Tensor, same: Tensor, weight: float) -> Tensor:
    """The contrastive loss over a batch of pairs.

    Args:
        logits: Cosines over the temperature τ, float [image, text].
        same: bool [image, text]: whether the text is true of the image; a text that is true of
            two images has two right answers, and so on. Each has one at least.
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
