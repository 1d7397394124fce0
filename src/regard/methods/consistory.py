"""ConsiStory: one subject in several images, by shared attention to it and aligned features."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor
from torch.nn import functional

from regard.arguments import flag, number_or_none, shown, whole
from regard.errors import ArgumentError, UnknownName
from regard.methods.correspondence import Matches, matches, smoothed
from regard.methods.guide import Before, Guide
from regard.methods.lend import (
    LENDING,
    LentPart,
    anchors_of,
    check_branches,
    checked_anchors,
    image_kv,
    lend,
    usual,
)
from regard.methods.method import method
from regard.methods.run import Changes, Computed, Plan, Run
from regard.methods.subject_masks import WINDOW, SubjectMasks, dropped, tokens_of
from regard.methods.where import EVERYWHERE, Where, listed_words
from regard.tap import TO_TEXT, AttentionCall, Select

MATCHED_AT = 261
"""The timestep, of 1000, whose features are matched."""

QUERIES = (0.9, 0.81836735)
"""How much of a step's queries is that of the images alone, in the first step and in the last."""


@dataclass(frozen=True)
class Settings:
    """What `consistory` was asked for, checked."""

    words: list[str]
    prompts: list[str]
    seeds: list[int] | None
    mask_dropout: float
    share_queries: bool
    inject: float
    window: int
    features: str | None
    branches: str
    where: Where


@method(where=LENDING)
def consistory(
    subject: str | Sequence[str],
    anchors: Sequence[str],
    *,
    seeds: Sequence[int] | None = None,
    mask_dropout: float = 0.5,
    share_queries: bool = True,
    inject: float = 0.8,
    window: int = WINDOW,
    features: str | None = None,
    branches: str = "both",
    where: Where = EVERYWHERE,
) -> Plan:
    """Let the image show the same subject as others, the anchors, which are generated beside it.

    All images attend to the subject of the anchors, with a share of its patches left out at random
    in each step. In the first steps queries are mixed with those of the images alone, so that
    layouts stay their own. Then all is generated again, and the outputs of the finest layers are
    mixed, patch by patch, with those of the anchors' patches that show the same part.

    Args:
        subject: Its words in the prompts, such as ``balloon``; those of several subjects are taken
            together. A prompt without any gets no mask: its image lends nothing.
        anchors: The prompts of the anchors, such as the same subject in other scenes.
        seeds: Of their initial noise, one for each; those after the image's own if left out.
        mask_dropout: The share of a subject's patches that is left out, new in each step; 0..1.
        share_queries: Whether queries are mixed in the first tenth of the steps.
        inject: How much of an output is that of the anchor's patch, 0..1; 0 for no second pass.
        window: How many of the last steps masks are read from.
        features: The module of the denoiser whose output is matched, by its path; by default the
            first block of a U-Net's up path, or the block at two thirds of a transformer.
        branches: Of classifier-free guidance, that share attention: ``cond``, ``uncond`` or
            ``both``.
        where: Steps, layers and stage in which attention is shared; see `Where`. By default the up
            path of a U-Net, or all layers of a transformer.

    Returns:
        A method; the images of its anchors are generated in the same batch.

    Raises:
        ArgumentError: a share outside 0..1, no word, or as for `share`, also in a run.
        UnknownName: in a run, no anchor has the subject in its prompt, or a layer is not there.
        UnsupportedEdit: in a run, a layer with eager (explicit) softmax attention.

    Example:
        >>> consistory("cat", ["a cat on the grass", "a cat on the beach"]).recipe()["subject"]
        'cat'

    Source:
        Tewel et al. (2024), "Training-Free Consistent Text-to-Image Generation", arXiv 2402.03286,
        sections 4.1 to 4.3; numbers are those of the authors' code.

    Differs from the paper:
        Of several evaluated timesteps the one nearest to 261 gives the features. Outputs are mixed
        from what they were before any was mixed. All randomness is the method's own. Otsu's
        threshold is that of the values, not of 256 bins. In a joint transformer image patches
        alone lend, and all layers take part.
    """
    prompts, numbers = checked_anchors(anchors, seeds, "consistory")
    settings = Settings(
        listed_words(subject, "consistory"),
        prompts,
        numbers,
        _share("mask_dropout", mask_dropout),
        flag(share_queries, "share_queries", "consistory"),
        _share("inject", inject),
        whole(window, "window", "consistory", least=1),
        features,
        branches,
        where,
    )
    check_branches(branches, "consistory")

    def plan(run: Run) -> Changes:
        where = replace(usual(settings.where, run), condition=settings.branches)
        where.select_in(run, "consistory", query="image", key="image")
        chosen = anchors_of(prompts, numbers, run)
        read = run.model.tokenize
        if not any(tokens_of(read(e.prompt), settings.words, carriers=False) for e in chosen):
            raise UnknownName(
                f"consistory: none of the anchors {', '.join(map(repr, prompts))} has "
                f"{' or '.join(map(repr, settings.words))} in its prompt, so there is no subject "
                f"to share. Name a word of theirs."
            )
        return Changes(anchors=chosen, together=lambda runs: _Together(settings, runs).changes())

    return plan


@dataclass
class _Together:
    """What is done to one batch: images, and after them their anchors."""

    settings: Settings
    runs: Sequence[Run]
    queries: dict[str, Tensor] = field(default_factory=dict)
    features: tuple[float, Tensor] | None = None
    matched: dict[Any, list[Matches | None]] = field(default_factory=dict)
    layers: list[str] = field(default_factory=list)
    grids: set[tuple[int, int]] = field(default_factory=set)
    pass_: int = 0

    def __post_init__(self) -> None:
        first = self.runs[0]
        self.anchors, steps = len(self.settings.prompts), first.steps
        self.early = range(1, steps // 10 + 1)
        self.middle = range(steps // 10, steps // 3 + 1)
        self.masks = SubjectMasks.of_words(
            first.model.reading,
            [run.prompt for run in self.runs],
            self.settings.words,
            self.settings.window,
        )

    def changes(self) -> Changes:
        """Edits and observers of the batch."""
        run, asked = self.runs[0], self.settings
        where = replace(usual(asked.where, run), condition=asked.branches)
        select = where.select_in(run, "consistory", query="image", key="image")
        shared = replace(select, condition=None)
        reading = Select(layers=run.model.reading.get("layers"), key="text", condition="cond")
        edits = [(shared, self.share)]
        if asked.inject:
            finest = Select(query="image", key="image", condition="cond", steps=self.middle)
            edits.append((finest, self.mix))
        before = None
        if asked.share_queries and len(self.early):
            before = Before([(replace(shared, steps=None), self.keep_query)], self.early)
        watch = [(reading if run.model.reading else TO_TEXT, self.masks.see)]
        last = run.steps - 1
        return Changes(
            edits,
            Guide(before=before, observe=watch),
            last_step=last,
            acted=lambda: bool(self.layers) or run.steps == 1,
            passes=2 if asked.inject else 1,
            outputs=[(asked.features or _features_of(run), self.see_features)],
        )

    def share(self, call: AttentionCall) -> None:
        """Mix the queries of early steps, and let all attend to the anchors' subject."""
        if call.run != self.pass_:
            self._begin(call.run)
        grid = call.known_layout("consistory").queries_of("image").grid
        masks = None if grid is None else self.masks.of(grid, before=call.step)
        if masks is None:
            return
        self.layers[:1] = [call.layer]
        if call.layer in self.queries and call.step in self.early:
            low, high = QUERIES[1], QUERIES[0]
            share = high - (high - low) * call.step / max(1, len(self.early))
            alone = self.queries.pop(call.layer)
            call.map_queries(lambda query: share * alone + (1 - share) * query)
        # By the anchors alone, so that who else is in the batch decides nothing.
        seed = [self.runs[-1].seed, call.run, call.step, *(grid or ())]
        kept = dropped(masks[-self.anchors :], self.settings.mask_dropout, seed)

        def lends(call: AttentionCall, rows: Sequence[int]) -> list[LentPart]:
            parts = [image_kv(call, row) for row in rows]
            return [
                LentPart(each.key[:, own], each.value[:, own], own.nonzero()[:, 0])
                for each, own in zip(parts, kept, strict=True)
            ]

        lend(call, self.anchors, lends, self.settings.branches)

    def keep_query(self, call: AttentionCall) -> None:
        """Keep the queries of the images alone."""
        self.queries[call.layer] = call.query

    def see_features(self, seen: Computed) -> None:
        """Keep the features of the step nearest to `MATCHED_AT`, of the conditional rows."""
        apart = abs(seen.level - MATCHED_AT)
        if seen.run or (self.features is not None and apart >= self.features[0]):
            return
        rows = [row for row, label in enumerate(seen.labels) if label == "cond"]
        if rows:
            self.features = apart, seen.output[rows].detach()

    def mix(self, call: AttentionCall) -> None:
        """In the second pass, mix outputs of the finest layers with those of matching patches."""
        layout = call.known_layout("consistory")
        image = layout.queries_of("image")
        if image.grid is not None:
            self.grids.add(image.grid)
        if not call.run or image.grid != max(self.matched, default=None):
            return
        masks = self.masks.of(image.grid, before=call.step)
        if masks is None:
            return
        rows, found, weight = call.rows_of("cond"), self.matched[image.grid], self.settings.inject

        def mixed(output: Tensor) -> Tensor:
            before, after = output[rows][:, :, image.slice], output.clone()
            for number, each in enumerate(found):
                if each is None:
                    continue
                here = masks[number] & each.close
                source = before[each.image[here], :, each.patch[here]].transpose(0, 1)
                own = after[rows.start + number, :, image.slice]
                own[:, here] = weight * source + (1 - weight) * own[:, here]
            return after

        call.map_output(mixed)

    def _begin(self, pass_: int) -> None:
        """Before another pass: match what the one before has shown."""
        self.pass_ = pass_
        if self.features is None or not self.grids:
            return
        features, grid = self.features[1], max(self.grids)
        masks = self.masks.of(grid)
        assert masks is not None, "a whole pass has been seen"
        if features.ndim == 3:  # of a transformer: [image, patch, channel]
            features = features[:, -grid[0] * grid[1] :].mT.unflatten(-1, grid)
        resized = functional.interpolate(
            smoothed(features.float()), size=grid, mode="bilinear", align_corners=False
        )
        count = len(self.runs)
        sources = list(range(count - self.anchors, count))
        self.matched = {grid: [matches(resized, masks, each, sources) for each in range(count)]}


def _features_of(run: Run) -> str:
    """The module whose output is matched where none is named."""
    names = [name for name, _ in run.model.denoiser.named_modules()]
    if "up_blocks.0" in names:
        return "up_blocks.0"
    blocks = [n for n in names if n.rpartition(".")[0].endswith("transformer_blocks")]
    if not blocks:
        raise ArgumentError(
            f"consistory: {run.model.class_name} has neither up_blocks nor transformer_blocks, so "
            f"there are no features to match. Name a module with features=."
        )
    return blocks[2 * len(blocks) // 3]


def _share(name: str, value: Any) -> float:
    number = number_or_none(value)
    if number is None or not 0 <= number <= 1:
        raise ArgumentError(f"consistory: {name} is {shown(value)} and must lie in 0..1.")
    return float(number)
