"""What turns images, and perhaps texts, into vectors that can be compared.

An `Encoder` is a record of functions, so a network of any library can be one. `encoder` opens the
bundled `openmoji-clip`, a folder of transformers, or takes a function as it is.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from regard.data.pictures import as_rgb
from regard.errors import ArgumentError, DataError
from regard.models.load import folder_of, library_model, vision_of
from regard.models.preparation import PROCESSOR, processor_file
from regard.models.vision import sees_pictures
from regard.zoo.bundled import weights_sha256
from regard.zoo.recipe import recipes
from regard.zoo.whole import LOCAL, could_not

Prepare = Callable[..., Tensor]

VOCABULARIES = ("tokenizer.json", "vocab.*", "*.model")
"""Files of which a tokenizer has one at least."""


@dataclass(frozen=True)
class Encoder:
    """What turns one batch of images or texts into numbers.

    Attributes:
        name: Recorded with every result.
        features: RGB images to one vector each, [image, feature].
        texts: Texts to vectors in the same space, [text, feature]; None where it reads none.
        layers: RGB images to the output of each layer, [image, token, channel] or
            [image, channel, y, x]; None where they cannot be had.
        cut: How many of some texts are too long to be read whole.
        recipe: More to record with every result, such as ``weights_sha256``.
    """

    name: str
    features: Callable[[Sequence[Image.Image]], Any]
    texts: Callable[[Sequence[str]], Any] | None = None
    layers: Callable[[Sequence[Image.Image]], Sequence[Any]] | None = None
    cut: Callable[[Sequence[str]], int] = lambda texts: 0
    recipe: Mapping[str, str] = field(default_factory=dict)


def encoder(which: Any = "openmoji-clip") -> Encoder:
    """Open an encoder.

    Args:
        which: A bundled model that sees images, such as ``openmoji-clip``; a folder with a vision
            or image-text model of transformers and its preprocessor_config.json (and tokenizer, if
            it reads texts); a function from a list of RGB PIL images to [image, feature]; or
            an `Encoder`, which is returned.

    Returns:
        An `Encoder`; a network is on the CPU, float32, without gradients.

    Raises:
        UnknownName: there is neither such a bundled model nor such a folder.
        DataError: the folder does not say how to prepare images, or its model sees none.

    Example:
        >>> grey = encoder(lambda pictures: torch.tensor([[p.convert("L").getpixel((0, 0))]
        ...                                               for p in pictures]))
        >>> grey.features([Image.new("RGB", (2, 2), "white")]).tolist()
        [[255]]
    """
    if isinstance(which, Encoder):
        return which
    if not isinstance(which, str | os.PathLike):
        if not callable(which):
            raise ArgumentError(
                f"encoder: got {type(which).__name__}; give a bundled model, a folder, or a "
                f"function from images to features."
            )
        return Encoder(getattr(which, "__name__", type(which).__name__), which)
    name = str(which)
    network = library_model(name)
    if not isinstance(network, torch.nn.Module) or not hasattr(network.config, "architectures"):
        raise _no_encoder(name, type(network).__name__)
    return _of_network(network, folder_of(name), name)


def _of_network(network: Any, folder: Path, name: str) -> Encoder:
    prepare = _preparation(network, folder, name)
    vision = getattr(network, "vision_model", network.base_model)
    reads = hasattr(network, "get_text_features")
    tokenizer = tokenizer_of(folder, "encoder") if reads else None

    @torch.no_grad()
    def features(pictures: Sequence[Image.Image]) -> Tensor:
        pixels = prepare(pictures)
        if hasattr(network, "get_image_features"):
            return _tensor(network.get_image_features(pixel_values=pixels))
        return summary(vision, vision(pixel_values=pixels))

    @torch.no_grad()
    def layers(pictures: Sequence[Image.Image]) -> list[Tensor]:
        out = vision(pixel_values=prepare(pictures), output_hidden_states=True)
        # The first is the patches before any layer: colours and positions, nothing seen yet.
        return list(out.hidden_states[1:])

    @torch.no_grad()
    def texts(said: Sequence[str]) -> Tensor:
        tokens = tokenizer(
            list(said), padding="max_length", truncation=True, max_length=limit, return_tensors="pt"
        )
        return _tensor(network.get_text_features(**tokens))

    def cut(said: Sequence[str]) -> int:
        return sum(len(ids) > limit for ids in tokenizer(list(said), verbose=False).input_ids)

    told = {"weights_sha256": weights_sha256(network)}
    if not reads:
        return Encoder(name, features, layers=layers, recipe=told)
    limit = min(tokenizer.model_max_length, network.config.text_config.max_position_embeddings)
    return Encoder(name, features, texts, layers, cut, told)


def summary(vision: Any, out: Any) -> Tensor:
    """One vector per image: the network's own pooled output, else its class token, else the mean.

    A dense pooler on the class token (as ViTModel has) is passed over: it is a remnant of text
    models which hardly any vision checkpoint has trained, so it would be random.

    Args:
        vision: A vision network of transformers.
        out: Its output.

    Returns:
        float [image, feature].
    """
    pooled = getattr(out, "pooler_output", None)
    if pooled is not None and not hasattr(getattr(vision, "pooler", None), "dense"):
        return pooled.flatten(1)
    states = out.last_hidden_state
    if states.ndim == 4:
        return states.mean((2, 3))
    names = [name for name, _ in vision.named_parameters()]
    has_class_token = any(name.endswith(("cls_token", "class_embedding")) for name in names)
    return states[:, 0] if has_class_token else states.mean(1)


def _preparation(network: Any, folder: Path, name: str) -> Prepare:
    """From RGB images to what the network takes."""
    has_file = processor_file(folder) is not None
    tower = getattr(network, "vision_model", network)
    if sees_pictures(tower) and (has_file or name in recipes()):
        return vision_of(network, folder).pixels
    if name in recipes():
        raise _no_encoder(name, type(network).__name__)
    if not has_file:
        raise DataError(
            f"encoder: {folder} has no {PROCESSOR}, so it is unknown which pixels the model takes. "
            f"Save its image processor there too."
        )
    return _as_the_library_does(folder)


def _as_the_library_does(folder: Path) -> Prepare:
    from transformers import AutoImageProcessor

    # PIL, also where torchvision is installed: its resizing differs, and so would the scores.
    try:
        processor = AutoImageProcessor.from_pretrained(folder, **LOCAL, backend="pil")
    except Exception as failed:  # the library raises whatever it likes
        raise could_not(folder, failed) from failed
    return lambda pictures: processor(images=list(pictures), return_tensors="pt").pixel_values


def tokenizer_of(folder: Path, caller: str) -> Any:
    """The tokenizer in a folder of transformers.

    Raises:
        DataError: there is none.
    """
    from transformers import AutoTokenizer

    # Asked for a tokenizer that is not there, the library makes one that knows no word.
    if not any(file for pattern in VOCABULARIES for file in folder.glob(pattern)):
        raise DataError(
            f"{caller}: {folder} holds a model that reads texts, and no tokenizer. "
            f"Save its tokenizer there too."
        )
    try:
        return AutoTokenizer.from_pretrained(folder, **LOCAL)
    except Exception as failed:  # the library raises whatever it likes
        raise could_not(folder, failed) from failed


def _tensor(out: Any) -> Tensor:
    """What transformers 5 wraps in an output, and earlier ones return as it is."""
    return out if isinstance(out, Tensor) else out.pooler_output


def _no_encoder(name: str, kind: str) -> DataError:
    return DataError(
        f"encoder: '{name}' is a {kind}, which makes no one vector of an image. Give "
        f"'openmoji-clip', or a folder with a vision or image-text model of transformers."
    )


def encoded(which: Encoder, items: Sequence[Any], *, batch: int, caller: str) -> Tensor:
    """Features of images, or of texts, in batches: float32 [item, feature].

    Raises:
        ArgumentError: there is nothing to encode, or the encoder reads no texts.
        DataError: the encoder returned something else than a row of numbers for each.

    Example:
        >>> bright = encoder(lambda ps: [[p.getpixel((0, 0))[0] / 255, 0.0] for p in ps])
        >>> encoded(bright, [Image.new("RGB", (1, 1), "white")], batch=8, caller="example")
        tensor([[1., 0.]])
    """
    if not len(items):
        raise ArgumentError(f"{caller}: there is nothing to encode. Give one image or text.")
    if isinstance(items[0], str) and which.texts is None:
        raise ArgumentError(
            f"{caller}: the encoder '{which.name}' reads no texts. Give an image-text model, such "
            f"as 'openmoji-clip'."
        )
    rows = []
    for first in range(0, len(items), batch):
        part = items[first : first + batch]
        if which.texts is not None and isinstance(items[0], str):
            found = which.texts(part)
        else:
            found = which.features(as_pictures(part, first))
        rows.append(_checked(which, found, len(part)))
    return torch.cat(rows)


def as_pictures(items: Sequence[Any], first: int = 0) -> list[Image.Image]:
    """Images or arrays as RGB images; ``first`` is the number of the first, for errors.

    Raises:
        DataError: one is no image.
    """
    return [as_rgb(each, name=f"image {number}") for number, each in enumerate(items, first)]


def _checked(which: Encoder, found: Any, number: int) -> Tensor:
    rows = torch.as_tensor(found).detach().float().cpu()
    if rows.ndim != 2 or len(rows) != number or not rows.isfinite().all():
        raise DataError(
            f"encoder: '{which.name}' made {tuple(rows.shape)} of {number} images or texts"
            f"{'' if rows.isfinite().all() else ', with NaN or infinite values'}. "
            f"It must make one row of numbers for each."
        )
    return rows
