"""How many images each part of the study of a vision transformer evaluates."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """How much of the study is done; the reasons stand beside the numbers.

    Attributes:
        images: Test images whose predictions and CLS attention are read.
        sampled: Images, as many of each class, of which all attention is read.
        clustered: Those of them whose heads are put into clusters.
        resized: Images that are shown at other sizes.
        resized_dense: Those of them of which all attention is read.
        scales: Sides of the other sizes, as shares of the model's own.
        matched: Misclassified images that get a correctly classified partner of the same class.
        ablated: Images that are classified again without each head.
        explained: Images whose explanations are tested.
        steps: Steps of each deletion and insertion curve.
        orders: Random orders of patches that explanations are compared with.
        coverage: The share of attention that coverage counts patches for.
        batch: Images in one evaluation.
        seed: Of the choice of images and of every interval.
    """

    images: int = 10_000  # the whole test set: intervals of a class are then about 2 points wide
    sampled: int = 200  # 1.9 million weights an image: enough for a mean, too many for all images
    clustered: int = 60
    resized: int = 1000  # an accuracy within 2 points
    resized_dense: int = 40  # 16 million weights an image at 48 pixels
    scales: tuple[float, ...] = (5 / 7, 9 / 7, 12 / 7)  # 20, 36 and 48 of 28 pixels
    matched: int = 100
    ablated: int = 400  # times 60 evaluations, for 48 heads and 12 layers
    explained: int = 32
    steps: int = 14  # a step takes one row of 14 x 14 patches
    orders: int = 10
    coverage: float = 0.8
    batch: int = 64
    seed: int = 0

    def passes(self, images: int, *, layers: int, heads: int, patches: int) -> int:
        """About how many images are evaluated in all, for a progress bar."""
        most = {name: min(images, getattr(self, name)) for name in COUNTS}
        sizes = len(self.scales) + 1
        return (
            most["images"]
            + most["sampled"]
            + most["clustered"]
            + sizes * (most["resized"] + most["resized_dense"])
            + 2 * most["matched"]
            + (2 + layers + layers * heads) * most["ablated"]
            + most["explained"] * (self.evaluations + GRADIENTS + patches)
        )

    @property
    def evaluations(self) -> int:
        """How often each explained image is evaluated in curves: methods and random orders."""
        return 2 * (self.steps + 1) * (len(METHODS) + self.orders)


GRADIENTS = 100
"""Evaluations that integrated gradients are worth: 32 points, forward and backward."""

COUNTS = (
    "images",
    "sampled",
    "clustered",
    "resized",
    "resized_dense",
    "matched",
    "ablated",
    "explained",
)

METHODS = ("attention", "rollout", "relevance", "integrated_gradients", "occlusion", "random")
"""The explanations that are tested."""

FULL = Budget()

QUICK = Budget(
    images=1000, sampled=30, clustered=10, resized=150, resized_dense=10, matched=20, ablated=40,
    explained=10, steps=7,
)  # fmt: skip
"""About a tenth of the work: to see whether all is well, and not to be quoted."""
