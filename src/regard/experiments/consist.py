"""One call: one subject in several scenes, with shared attention, measured against independence."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import pandas as pd

from regard.arguments import listed, one_of, pathlike, shown, verb, whole
from regard.errors import ArgumentError
from regard.experiments.consist_report import CONSIST, WAYS
from regard.experiments.images import GENERATING, shared_recipe
from regard.experiments.meter import Meter, counting
from regard.experiments.meter import Progress as Report
from regard.experiments.plan import Plan
from regard.experiments.result import Kind, Result
from regard.experiments.store import Done, small
from regard.generation import Request, Sampling, generate
from regard.generation.outcome import refuse_void
from regard.progress import Progress, check_progress

if TYPE_CHECKING:  # these import torch
    from regard.models.text_to_image import TextToImage

INDEPENDENT = "none"

BUNDLED = "openmoji-clip"


@verb
def consist(
    model: Any,
    subject: str,
    scenes: Sequence[str],
    *,
    method: str = "consistory",
    settings: Mapping[str, Any] | None = None,
    anchors: int = 2,
    encoder: Any = None,
    store: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: Progress = None,
    **sampling: Unpack[Sampling],
) -> Result:
    """Generate one subject in several scenes, and the same scenes independently, and compare.

    The prompt of a scene is the subject, then the scene. Each scene has initial noise of its own:
    that of the seed, the next, and so on. The first scenes are the anchors, to which all others
    attend.

    Args:
        model: A diffusers text-to-image pipeline, or the name or folder of one.
        subject: Such as ``a red balloon``; its last word is what masks are read for.
        scenes: Two or more, such as ``on the grass``.
        method: ``consistory``, ``svd``, ``share``, or ``none`` for independent images alone.
        settings: Arguments of the method, but for its anchors and their seeds.
        anchors: How many of the first scenes the others attend to.
        encoder: Of images, as `regard.models.encoder.encoder` takes it; None takes that of bundled
            models, and no likeness for others.
        store: A folder to which what each scene gave is written at once; the same call goes on
            from there. None keeps all in memory.
        overwrite: Whether what other settings left unfinished in the store may be deleted.
        progress: None shows a progress bar on a terminal, True always, False never; a function is
            called with the number of images generated so far, and of all.
        **sampling: As in `regard.generation.Sampling`, but for latents.

    Returns:
        A `Result`. Its table has one row for each scene and each way, ``none`` and the method:
        scene, way, prompt, seed, anchor, ``subject_likeness``, ``background_likeness``,
        ``layout_distance`` and ``text_agreement`` as `regard.scores.consistency` gives them, and
        ``lent``, ``lent_background``: the share of its attention that goes to the anchors, and to
        their background.

    Raises:
        ArgumentError: fewer than two scenes, one of them twice, more anchors than scenes, a
            setting that the method lacks; a model without self-attention of the image.
        UnknownName: there is no such model, or the subject's last word is in no prompt.
        DataError: the model or the encoder cannot be opened.
        OutputError: the store holds something else, or cannot be written.

    Example:
        >>> found = consist(
        ...     "openmoji", "a cat", ["on the grass", "on the beach"], method="share",
        ...     num_inference_steps=2,
        ... )
        >>> found.table["way"].tolist()
        ['none', 'none', 'share', 'share']

    Source:
        The comparison at one seed is ours; each method names its own.
    """
    places = _scenes(scenes)
    one_of(method, "method", "consist", tuple(WAYS))
    if not isinstance(subject, str) or not subject.strip():
        raise ArgumentError(
            f"consist: subject is {shown(subject)} and must be a text, such as 'a red balloon'."
        )
    if not 1 <= whole(anchors, "anchors", "consist", cure="2 is usual.") <= len(places):
        raise ArgumentError(
            f"consist: anchors is {anchors} and must be 1 to {len(places)}, as there are "
            f"{len(places)} scenes; 2 is usual."
        )
    store = None if store is None else pathlike(store, "store", "consist")
    check_progress(progress)
    # These import torch, so they wait until arguments are checked.
    from regard.experiments.run import run
    from regard.models.text_to_image import TextToImage

    opened = TextToImage.of(model)
    first = opened.decide(Request.of(f"{subject.strip()} {places[0]}", sampling))
    requests = [
        replace(first, prompt=f"{subject.strip()} {scene}", seed=first.seed + number)
        for number, scene in enumerate(places)
    ]
    ways = [INDEPENDENT] if method == INDEPENDENT else [INDEPENDENT, method]
    cases = [
        SceneCase(way, scene, _with_method(each, way, requests[:anchors], subject, settings))
        for way in ways
        for scene, each in zip(places, requests, strict=True)
    ]
    plan = ConsistPlan(opened, subject.strip(), cases, anchors, *_encoder_of(opened, encoder))
    return run(plan, store=store, overwrite=overwrite, progress=counting(progress))


def _scenes(scenes: Any) -> list[str]:
    several = None if isinstance(scenes, str | bytes) else listed(scenes)
    if not several or not all(isinstance(each, str) for each in several) or len(several) < 2:
        raise ArgumentError(
            f"consist: scenes is {shown(scenes)} and must be two texts or more, such as "
            f"['on the grass', 'on the beach']: one image has no other to be alike."
        )
    twice = [each for number, each in enumerate(several) if each in several[:number]]
    if twice:
        raise ArgumentError(f"consist: the scene '{twice[0]}' comes twice. Give each once.")
    return [each.strip() for each in several]


def _with_method(
    request: Request,
    way: str,
    anchors: Sequence[Request],
    subject: str,
    settings: Mapping[str, Any] | None,
) -> Request:
    if way == INDEPENDENT:
        return request
    from regard.methods.recipe import method_of

    given = {
        "anchors": [each.prompt for each in anchors],
        "seeds": [each.seed for each in anchors],
        **({"subject": noun(subject)} if way == "consistory" else {}),
    }
    taken = [name for name in settings or {} if name in given and name != "subject"]
    if taken:
        raise ArgumentError(f"consist: {taken[0]} follows from the scenes. Leave it out.")
    return replace(
        request, methods=[method_of(WAYS[way], {**given, **(settings or {})}, "consist")]
    )


def read_settings(way: str, texts: Sequence[str]) -> dict[str, Any]:
    """Settings of a way as the command line has them.

    Args:
        way: As ``method`` of `consist`.
        texts: ``KEY=VALUE`` each.

    Raises:
        ArgumentError: there is no such way, or a setting cannot be read.
        UnknownName: the method has no such setting.

    Example:
        >>> read_settings("svd", ["keys.rank=4"])
        {'keys': {'rank': 4}}
    """
    one_of(way, "method", "consist", tuple(WAYS))
    if not texts:
        return {}
    if way == INDEPENDENT:
        raise ArgumentError(f"consist: independent images have no settings, such as {texts[0]}.")
    from regard.methods.text import name_and_settings

    return name_and_settings(" ".join([WAYS[way], *texts]))[1]


def noun(subject: str) -> str:
    """The word that masks are read for.

    Example:
        >>> noun("a red balloon")
        'balloon'
    """
    return subject.split()[-1].strip(".,;:!?")


def _encoder_of(model: "TextToImage", encoder: Any) -> tuple[Any, tuple[str, ...]]:
    """The encoder of images, and what is not measured without one."""
    from regard.scores.change import judge_of
    from regard.scores.pairs import open_encoder

    if encoder is None and judge_of(model) is None:
        return None, (
            "No encoder was asked for, so likeness is not measured. Name one with encoder=.",
        )
    return open_encoder(BUNDLED if encoder is None else encoder), ()


@dataclass(frozen=True)
class SceneCase:
    """One scene in one way.

    Attributes:
        way: ``none``, or the method.
        scene: Where the subject is.
        request: Decided by the model.
    """

    way: str
    scene: str
    request: Request

    @property
    def name(self) -> tuple[str, str]:
        """Way and scene."""
        return self.way, self.scene


@dataclass(frozen=True)
class ConsistPlan(Plan[SceneCase, Result]):
    """One subject in several scenes; the scenes of a way are generated together.

    Attributes:
        model: Which generates.
        subject: What is in all scenes.
        cases: Way by way, scene by scene.
        anchors: How many of the first scenes lend.
        encoder: Of images; None for no likeness.
        notes: What is not measured, and why.
    """

    model: "TextToImage"
    subject: str
    cases: Sequence[SceneCase]
    anchors: int
    encoder: Any = None
    notes: tuple[str, ...] = ()
    kind: Kind = CONSIST
    grows = ("scenes",)

    @property
    def recipe(self) -> dict[str, Any]:  # type: ignore[override]  # the plan's own cases decide it
        """Subject, scenes, the method, and with what all is generated."""
        last = self.cases[-1]
        return {
            "subject": self.subject,
            "scenes": list(dict.fromkeys(case.scene for case in self.cases)),
            "ways": list(dict.fromkeys(case.way for case in self.cases)),
            "method": [method.recipe() for method in last.request.methods],
            "anchors": self.anchors,
            "encoder": None if self.encoder is None else self.encoder.name,
            **shared_recipe(self.model, self.cases[0].request),
        }

    def decides(self, case: SceneCase) -> Any:
        """As for `Plan`: the model and the request."""
        return [case.way, case.scene, self.model.recipe(), case.request.to_json()]

    def meter(self, progress: Report | None) -> Meter:
        """Counts images."""
        return Meter(progress, len(self.cases), GENERATING)

    def groups(self) -> Iterator[list[SceneCase]]:
        """Scenes of one way, as many as a batch holds beside the anchors."""
        from regard.generation.batches import ROWS

        room = max(1, ROWS - self.anchors)
        for way in dict.fromkeys(case.way for case in self.cases):
            own = [case for case in self.cases if case.way == way]
            yield from (own[first : first + room] for first in range(0, len(own), room))

    def work(
        self, cases: Sequence[SceneCase], finished: Callable[[Any], Done], meter: Meter
    ) -> list[Done]:
        """Generate scenes of one way together, and see where they look."""
        lenders = [case for case in self.cases if case.way == cases[0].way][: self.anchors]
        own = [case for case in cases if case not in lenders]
        batch = [*own, *lenders]  # in the order of its rows
        seen = _Seen(self.model, batch, self.anchors, noun(self.subject))
        made = generate(
            self.model,
            [case.request for case in batch],
            observe=seen.observers,
            progress=meter.share(len(cases)),
        )
        refuse_void([each.void for each in made])
        meter.add(len(cases))
        every = dict(zip(batch, made, strict=True))
        arrays = dict(zip(batch, seen.arrays(), strict=True))
        return [
            Done(
                [{"scene": case.scene, "way": case.way, "prompt": case.request.prompt,
                  "seed": case.request.seed, "anchor": case in lenders,
                  **seen.shares(arrays[case])}],
                [case.way],
                np.stack([small(every[case].image)]),
                values=seen.layers,
                arrays={"image": np.asarray(every[case].image), **arrays[case]},
            )
            for case in cases
        ]  # fmt: skip

    def result(
        self,
        rows: Sequence[dict[str, Any]],
        recipe: dict[str, Any],
        cases: Mapping[Any, Done],
    ) -> Result:
        """One row for each scene and way, with the likeness of the scenes of a way."""
        table = pd.DataFrame(rows)
        if self.encoder is not None:
            table = pd.concat([table, self._likeness(table, cases)], axis=1)
        from regard.scores.consistency import UNITS

        units = {**UNITS, "lent": "share of attention", "lent_background": "share of attention"}
        known = {name: unit for name, unit in units.items() if name in table}
        return Result(self.kind, table, recipe, cases, self.notes, known)

    def _likeness(self, table: pd.DataFrame, cases: Mapping[Any, Done]) -> pd.DataFrame:
        from regard.scores.consistency import consistency

        parts = []
        for _, part in table.groupby("way", sort=False):
            done = [
                cases[way, scene] for way, scene in zip(part["way"], part["scene"], strict=True)
            ]
            images = [each.arrays["image"] for each in done]
            masks = self._masks(images, done)
            texts = part["prompt"].tolist() if self.encoder.texts is not None else None
            parts.append(
                consistency(images, masks, texts, model=self.encoder).set_index(part.index)
            )
        return pd.concat(parts)

    def _masks(self, images: Sequence[np.ndarray], done: Sequence[Done]) -> list[np.ndarray]:
        """Where images show the subject: by the segmenter, where it knows them, or by word maps."""
        from regard.data.drawings import SUBJECTS
        from regard.models.detector import detect
        from regard.scores.change import judge_of

        judge, name = judge_of(self.model), noun(self.subject)
        if judge is None or name not in SUBJECTS:
            return [each.arrays["mask"] for each in done]
        nothing = np.zeros((2, 2), bool)
        found = [each.subjects.get(name) for each in detect(images, model=judge)]
        return [nothing if each is None else each.mask for each in found]


class _Seen:
    """What is observed of one batch: masks, attention between images, spectra."""

    def __init__(
        self, model: "TextToImage", batch: Sequence[SceneCase], anchors: int, word: str
    ) -> None:
        from regard.methods.between import Between, Spectra
        from regard.methods.subject_masks import SubjectMasks
        from regard.tap import Select

        prompts = [model.tokenize(case.request.prompt) for case in batch]
        reading, steps = model.reading, batch[0].request.num_inference_steps
        self._masks = SubjectMasks.of_words(reading, prompts, [word])
        self._between = Between(anchors, self._masks.of)
        self._spectra = Spectra(anchors, (steps or 1) // 2)
        self._batch, self._anchors = len(batch), anchors
        image = Select(query="image", key="image")
        self.observers: list[Any] = [
            (Select(layers=reading.get("layers"), query="image", key="text"), self._masks.see),
            (image, self._between),
            (image, self._spectra),
        ]

    @property
    def layers(self) -> dict[str, list[str]]:
        """Which layers the arrays are of."""
        return {"between": list(self._between.result()), "spectra": list(self._spectra.result())}

    def arrays(self) -> list[dict[str, np.ndarray]]:
        """Of each image its mask, its attention to the anchors, and an anchor's spectra."""
        between = self._between.result()
        grid = self._masks.finest
        masks = self._masks.of(grid) if grid is not None else None
        found: list[dict[str, np.ndarray]] = []
        for row in range(self._batch):
            mask = np.zeros((2, 2), bool) if masks is None else masks[row].cpu().numpy()
            told = {"mask": mask.reshape(grid or (2, 2))}
            if between:
                told["between"] = np.stack([each[row].numpy() for each in between.values()])
            anchor = row - (self._batch - self._anchors)
            if anchor >= 0:
                for number, pair in enumerate(self._spectra.result().values()):
                    key, value = pair
                    told[f"spectrum-key-{number}"] = key[anchor].numpy()
                    told[f"spectrum-value-{number}"] = value[anchor].numpy()
            found.append(told)
        return found

    def shares(self, arrays: Mapping[str, np.ndarray]) -> dict[str, float]:
        """How much of an image's attention goes to the anchors, and how much to what is around."""
        mean = arrays.get("between")
        if mean is None:
            return {"lent": 0.0, "lent_background": 0.0}
        return {"lent": float(mean.sum((1, 2)).mean()),
                "lent_background": float(mean[..., 1].sum(1).mean())}  # fmt: skip
