"""What image tokens have of text tokens, mixed layer by layer through one evaluation."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from regard.errors import ArgumentError
from regard.tap import AttentionCall, Segment
from regard.trace.grid import triangle

LARGEST = 32 * 32
"""Image tokens up to which patches are followed: 32 x 32 take 4 MB, 64 x 64 would take 64 MB."""

Shares = Float[Tensor, "sample token column"]
Grid = tuple[int, int]


class Flow:
    """Shares of text tokens, and of patches if wanted, on the grid of the layer that ran last.

    Args:
        residual: The share that passes a layer by, through the residual connection.
        image: Whether to follow patches.
    """

    def __init__(self, residual: float, image: bool) -> None:
        self._residual = residual
        self._image = image
        self._grid: Grid | None = None
        self._place: str | None = None
        self._texts = 0
        self._shares: dict[str, Shares] = {}  # by segment; an image token has no text at first
        self._patches: Shares | None = None
        self._skips: dict[Grid, tuple[dict[str, Shares], Shares | None]] = {}

    def mix(self, call: AttentionCall, rows: slice) -> None:
        """Mix by one attention call with image queries."""
        layout = call.known_layout("WordRollout")
        asked = [segment for segment in layout.keys if segment.name in ("image", "text")]
        if not asked or not any(segment.name == "image" for segment in layout.queries):
            return
        nothing = call.query.new_zeros(rows.stop - rows.start, 0, 0, dtype=torch.float32)
        self._move(layout.queries_of("image"), call.stage, nothing)
        self._meet_text(layout.keys, nothing)
        if self._texts:
            new = self._read(call, rows, layout.keys, self._shares, self._texts)
            for segment in layout.queries:
                if segment.name in self._shares:
                    here = self._shares[segment.name]
                    self._shares[segment.name] = self._mixed(here, new[:, segment.slice])
        # Cross-attention brings no patches, so it leaves the shares of patches as they are.
        if self._patches is not None and layout.has(query="image", key="image"):
            columns = self._patches.shape[-1]
            new = self._read(call, rows, layout.keys, {"image": self._patches}, columns)
            self._patches = self._mixed(self._patches, new[:, layout.queries_of("image").slice])

    def words(self) -> Float[Tensor, "sample token y x"] | None:
        """The shares of text tokens, on the CPU; None if no text was met."""
        if not self._texts or self._grid is None:
            return None
        return self._shares["image"].mT.unflatten(-1, self._grid).cpu()

    def patches(self) -> Float[Tensor, "sample patch patch0"] | None:
        """The shares of the patches of the first grid; None if they are not followed."""
        return None if self._patches is None else self._patches.cpu()

    def _mixed(self, here: Shares, new: Shares) -> Shares:
        return self._residual * here + (1 - self._residual) * new

    def _read(
        self,
        call: AttentionCall,
        rows: slice,
        keys: tuple[Segment, ...],
        shares: dict[str, Shares],
        columns: int,
    ) -> Float[Tensor, "sample query column"]:
        """What the queries read of what the keys have: by the fused kernel, without a map."""
        samples = rows.stop - rows.start
        nothing = {
            segment.name: torch.zeros(samples, len(segment), columns, device=call.query.device)
            for segment in keys
        }
        values = torch.cat([shares.get(s.name, nothing[s.name]) for s in keys], 1)
        return call.apply(values[:, None], batch=rows).float().mean(1)

    def _meet_text(self, keys: tuple[Segment, ...], like: Tensor) -> None:
        text = next((segment for segment in keys if segment.name == "text"), None)
        if self._texts or text is None or self._grid is None:
            return
        self._texts, tokens = len(text), self._grid[0] * self._grid[1]
        self._shares = {
            "image": like.new_zeros(len(like), tokens, self._texts),
            "text": torch.eye(self._texts).to(like).expand(len(like), -1, -1),
        }

    def _move(self, image: Segment, place: str | None, like: Tensor) -> None:
        """Follow the model to the grid and the place of its next layer."""
        grid = image.grid
        if grid is None:
            raise ArgumentError("WordRollout: the image tokens have no grid. Correct the layout.")
        if self._image and len(image) > LARGEST:
            raise ArgumentError(
                f"WordRollout: a layer has {grid[0]} x {grid[1]} patches, and they are followed up "
                f"to {LARGEST}. Leave out image=True."
            )
        if self._grid is None:
            self._grid = grid
            if self._image:
                self._patches = torch.eye(len(image)).to(like).expand(len(like), -1, -1)
        if self._place == "down" and (place, grid) != ("down", self._grid):
            self._skips[self._grid] = (dict(self._shares), self._patches)
        if grid != self._grid:
            self._all(lambda shares: resized(shares, self._grid or grid, grid))
            self._grid = grid
        if place == "up" and grid in self._skips:
            words, patches = self._skips.pop(grid)
            if "image" in self._shares:
                here = self._shares["image"]
                # A level that had met no text yet has no share of it.
                self._shares["image"] = (here + words.get("image", torch.zeros_like(here))) / 2
            if patches is not None and self._patches is not None:
                self._patches = (self._patches + patches) / 2
        self._place = place

    def _all(self, change: Callable[[Shares], Shares]) -> None:
        if "image" in self._shares:
            self._shares["image"] = change(self._shares["image"])
        if self._patches is not None:
            self._patches = change(self._patches)


def resized(
    shares: Float[Tensor, "sample old column"], old: Grid, new: Grid
) -> Float[Tensor, "sample new column"]:
    """Shares on another grid, bilinearly; each row keeps its sum where all rows had the same.

    Example:
        >>> resized(torch.ones(1, 4, 1), (2, 2), (1, 2)).flatten()
        tensor([1., 1.])
    """
    down, across = (
        torch.from_numpy(triangle(*sides)).to(shares) for sides in zip(old, new, strict=True)
    )
    plane = shares.unflatten(1, old)
    return torch.einsum("ia,jb,sabc->sijc", down, across, plane).flatten(1, 2)
