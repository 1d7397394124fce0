"""What happens between images that attend to each other: attention mass, and spectra of keys."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from regard.methods.spectrum import SpectrumFilter, filtered
from regard.tap import AttentionCall
from regard.tap.weights import Extended

Masks = Callable[[tuple[int, int]], Bool[Tensor, "image patch"] | None]
"""From a grid to where each image of a batch shows its subject, as far as that is known."""

ALL = SpectrumFilter()


class Between:
    """How much of each image's attention goes to each anchor, and there to subject or background.

    Mean over heads, patches and steps, of the conditional branch. It sees all calls.

    Args:
        anchors: How many images lend; the last of the batch.
        masks: Where images show their subject; attention before that is known counts as
            attention to the background.
    """

    def __init__(self, anchors: int, masks: Masks) -> None:
        self.anchors, self.masks = anchors, masks
        self._sums: dict[str, Tensor] = {}
        self._calls: dict[str, int] = {}
        self._run = -1

    @torch.no_grad()
    def __call__(self, call: AttentionCall) -> None:
        """Add one call, if keys are lent in it."""
        if call.run != self._run:
            self._run, self._sums, self._calls = call.run, {}, {}
        rows = call.rows_of("cond")
        if rows.start == rows.stop or not isinstance(call.weights, Extended):
            return
        own = call.weights.of(rows)
        assert isinstance(own, Extended), "rows of extended weights"
        lent = next((each for each in own.lent if each is not None), None)
        if lent is None or lent.image is None or lent.patch is None:
            return
        layout = call.known_layout("Between")
        image = layout.queries_of("image")
        masks = None if image.grid is None else self.masks(image.grid)
        keys = own.shape[-1]
        columns = torch.zeros(1, 1, keys, 2 * self.anchors, device=own.query.device)
        behind = torch.ones_like(lent.image)
        if masks is not None:
            behind = (~masks[-self.anchors :][lent.image, lent.patch]).long()
        places = torch.arange(keys - len(lent), keys, device=columns.device)
        columns[0, 0, places, 2 * lent.image + behind] = 1.0
        mass = own.apply(columns)[..., image.slice, :].float().mean((1, 2))
        found = mass.unflatten(1, (self.anchors, 2)).cpu()
        self._sums[call.layer] = self._sums.get(call.layer, torch.zeros_like(found)) + found
        self._calls[call.layer] = self._calls.get(call.layer, 0) + 1

    def result(self) -> dict[str, Float[Tensor, "image anchor part"]]:
        """By layer, the share of each image's attention that goes to an anchor's subject and rest.

        What is missing to 1 goes to the image itself.
        """
        return {layer: total / self._calls[layer] for layer, total in self._sums.items()}


class Spectra:
    """Singular values of the keys and values of the last images, all heads side by side.

    Args:
        anchors: How many images; the last of the batch.
        step: In which denoising step.
    """

    def __init__(self, anchors: int, step: int) -> None:
        self.anchors, self.step = anchors, step
        self._found: dict[str, tuple[Tensor, Tensor]] = {}

    @torch.no_grad()
    def __call__(self, call: AttentionCall) -> None:
        """Take the values of one call that attends from image to image."""
        rows = call.rows_of("cond")
        if call.step != self.step or rows.start == rows.stop:
            return
        last = slice(rows.stop - self.anchors, rows.stop)
        image = call.known_layout("Spectra").keys_of("image").slice
        both = (each[last][:, :, image] for each in (call.key, call.value))
        key, value = (filtered(each.transpose(1, 2).flatten(2), ALL)[1].cpu() for each in both)
        self._found[call.layer] = key, value

    def result(self) -> dict[str, tuple[Tensor, Tensor]]:
        """By layer, the singular values of keys and of values, falling, [anchor, value] each."""
        return self._found
