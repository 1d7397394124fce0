"""Several looks of one call: as a sequence, in a notebook, and as a folder of folders."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from PIL import Image

from regard.look import notebook, output
from regard.look.result import Look
from regard.saved.folder import SavedFolder, listed
from regard.saved.named import apart, folder_name
from regard.views.scale import check_scale


def _foreign(folder: Path) -> str | None:
    """Something in a folder that is no saved look; None if all of it is."""
    for name in listed(folder):
        inside = folder / name
        if not inside.is_dir() or not listed(inside):
            return name
        strange = output.foreign(inside)
        if strange is not None:
            return f"{name}/{strange}"
    return None


FOLDER = SavedFolder("Looks.save", "set of looks", _foreign)


@dataclass(frozen=True, eq=False, repr=False)
class Looks(Sequence[Look]):
    """The looks of several prompts or seeds, in their order.

    Attributes:
        looks: One for each image.

    Example:
        >>> from regard import look
        >>> two = look("openmoji", "a cat", seed=[0, 1], num_inference_steps=1)
        >>> two
        Looks(2: 'a cat', seed 0; 'a cat', seed 1)
        >>> [image.size for image in two.images]
        [(64, 64), (64, 64)]
    """

    looks: tuple[Look, ...]

    def __len__(self) -> int:
        return len(self.looks)

    @overload
    def __getitem__(self, place: int) -> Look: ...
    @overload
    def __getitem__(self, place: slice) -> "Looks": ...
    def __getitem__(self, place: int | slice) -> "Look | Looks":
        return Looks(self.looks[place]) if isinstance(place, slice) else self.looks[place]

    def __repr__(self) -> str:
        return f"Looks({len(self)}: {'; '.join(self._captions)})"

    def _repr_html_(self) -> str:
        return notebook.shown(zip(self._captions, self.images, strict=True), None, "")

    @property
    def images(self) -> list[Image.Image]:
        """The images."""
        return [each.image for each in self.looks]

    @property
    def _captions(self) -> list[str]:
        recipes = [each.trace.recipe for each in self.looks]
        return [f"{each['prompt']!r}, seed {each['seed']}" for each in recipes]

    def save(
        self, folder: str | os.PathLike[str], *, overwrite: bool = False, scale: str = "each"
    ) -> None:
        """Write one folder for each look, named after its prompt and seed, as `Look.save` does.

        All are written under another name beside ``folder`` and renamed when they are complete.

        Args:
            folder: The folder to make; those above it are made too.
            overwrite: Replace looks that were saved there; a folder that holds anything else is
                never replaced.
            scale: As for `Look.save`.

        Raises:
            OutputError: something is there already, or writing failed; nothing is lost.
            UnknownName: there is no such scale.
        """
        check_scale("Looks.save", scale)

        def fill(fresh: Path) -> None:
            fresh.mkdir()
            recipes = [each.trace.recipe for each in self.looks]
            names = apart(folder_name(each["prompt"], each["seed"]) for each in recipes)
            for name, look in zip(names, self.looks, strict=True):
                look.save(fresh / name, scale=scale)

        FOLDER.write(folder, fill, overwrite=overwrite)
