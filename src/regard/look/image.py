"""One call: show an image to a vision transformer, and keep what its patches attend to."""

import hashlib
import time
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from PIL import Image

from regard.arguments import caller, pair, verb
from regard.data.pictures import as_rgb
from regard.errors import ArgumentError
from regard.look.asked import check_names
from regard.look.outliers import outliers_of, token_lengths
from regard.look.result import Look
from regard.trace import Trace, labelled_layer

MOST = 2**30
"""Bytes of weights that a look keeps unasked: 1 GiB, seven times a ViT-L/16 at 224 pixels."""

LIKELIEST = 5


@verb
def look_at(
    model: Any,
    image: Any,
    *,
    size: tuple[int, int] | int | None = None,
    queries: Sequence[str] | None = None,
    processor: Any = None,
) -> Look:
    """Show an image to a vision transformer and see what each of its tokens attends to, 0..1.

    The model computes bit for bit what it computes without the tap.

    Args:
        model: What `regard.load` gives for a vision transformer, or its name or folder; or a module
            of transformers with a vision tower, such as ``CLIPModel``, together with
            ``processor``.
        image: A path, an open file, a PIL image, or uint8 [y, x] or [y, x, 3]; it is turned
            upright as its camera says.
        size: Rows and columns in pixels to which the image is brought, or one number for both;
            multiples of the patch. Position embeddings are interpolated, by the library, where this
            is not the size of the training. None takes the model's own preparation.
        queries: Tokens before the patches whose rows are kept, such as ``["cls"]``; None keeps
            every row.
        processor: The image processor of a module of transformers, which alone has the preparation
            that its weights were trained with. None for a name, a folder, or what `regard.load`
            gives.

    Returns:
        A `Look`: the image as the model saw it, and a trace to ask with `Trace.attention`; its
        recipe has the likeliest labels.

    Raises:
        UnknownName: there is no such model, or no such token.
        DataError: the image cannot be read, or neither the folder nor ``processor`` says how to
            prepare it.
        ArgumentError: the model takes no images in patches, the size does not suit them, or too
            much would be kept.

    Example:
        >>> from regard.data import scene
        >>> seen = look_at("openmoji-clip", scene(0).image)
        >>> seen.trace.attention("cls", layers="layers.3").shape
        (8, 8)

    Source:
        Dosovitskiy et al. (2021), "An Image is Worth 16x16 Words", arXiv 2010.11929, for the
        tokens; Caron et al. (2021), arXiv 2104.14294, section 4.2.2, for looking at the class
        token's attention.
    """
    started = time.perf_counter()
    import torch  # once there is an image to look at

    import regard.models as models
    from regard.tap import Parity, Tap

    whole = as_rgb(image)
    vision = models.vision_of(model, processor=processor)
    check_names(queries, "queries", "['cls']")
    sides = pair(size, "size", caller(), both=True, cure="Leave it out for the model's own.")
    pixels = vision.pixels([whole], sides)
    _check_room(vision, vision.grid(sides), queries)
    rows, parity = Rows(queries), Parity()
    watch = Tap(vision.model, observe=[rows, parity])
    with torch.no_grad(), token_lengths(vision.model) as lengths, watch:
        out = vision.forward(pixels)
    high, wide = vision.covered(sides)
    shown = vision.seen(whole, sides).convert("RGB").crop((0, 0, wide, high))
    recipe = {
        **recipe_of(vision, whole, sides),
        "prediction": prediction(vision.labels, out),
        "keep": ["layer", "head", "query"] if queries is None else ["layer", "head", *queries],
        "layouts": rows.layouts,
        "norm_outliers": outliers_of(
            lengths,
            {name: each for name, (_, each) in rows.layers.items() if each["kind"] == "self"},
        ),
        "parity_error": parity.result(),
        "seconds": round(time.perf_counter() - started, 2),
    }
    layers = {
        name: labelled_layer(values, **labels, patch=vision.patch)
        for name, (values, labels) in rows.layers.items()
    }
    return Look(shown, None, Trace(layers, (), recipe, np.asarray(shown)))


def recipe_of(vision: Any, image: Image.Image, size: tuple[int, int] | None) -> dict[str, Any]:
    """With what a look at an image was made, as plain JSON values."""
    import regard.models as models

    how = vision.preparation
    return {
        "model": models.name_of(vision),
        "weights_sha256": models.fingerprint(vision),
        "dtype": str(next(vision.model.parameters()).dtype).removeprefix("torch."),
        "image": fingerprint_of(image),
        "size": list(size or vision.size),
        "labels": list(vision.labels),
        "preparation": {
            "shortest": None if size else how.shortest,
            "resample": Image.Resampling(how.resample).name.lower(),
            "mean": list(how.mean),
            "std": list(how.std),
        },
        "interpolated": vision.interpolated(size),
        "interpolation": vision.interpolation(size),
        "versions": {name: version(name) for name in ("regard", "torch", "transformers")},
    }


def fingerprint_of(image: Image.Image) -> str:
    """SHA-256 of an image's size and pixels, whatever file they came from.

    Example:
        >>> fingerprint_of(Image.new("RGB", (2, 1))) == fingerprint_of(Image.new("RGB", (1, 2)))
        False
    """
    return hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()


def prediction(labels: Sequence[str], out: Any) -> list[list[Any]]:
    """The likeliest labels with their probabilities, the likeliest first; none for an encoder."""
    if not labels:
        return []
    shares = out.logits[0].float().softmax(-1)
    best = shares.topk(min(LIKELIEST, len(labels)))
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return [[labels[index], round(share, 6)] for index, share in pairs]


class Rows:
    """An observer that keeps attention weights of one image, all rows or those of some tokens.

    Memory: 4 bytes x heads x rows x tokens for each layer.

    Args:
        queries: Names of tokens before the patches; None for every row.
    """

    def __init__(self, queries: Sequence[str] | None) -> None:
        self.queries = queries
        self.layers: dict[str, tuple[np.ndarray, dict[str, Any]]] = {}
        self.layouts: dict[str, str] = {}

    def __call__(self, call: Any) -> None:
        """Keep one call."""
        layout = call.known_layout("look_at")
        prefix = prefix_of(layout.keys)
        image = layout.keys_of("image")
        if image.grid is None:
            raise ArgumentError(
                f"look_at: the {len(image)} patches of {call.layer} have no grid. Fix the layout "
                f"of {call.model}."
            )
        pooled = not any(segment.name == "image" for segment in layout.queries)
        queries = None if pooled or self.queries is None else self._places(prefix)
        asked = slice(None) if queries is None else queries
        weights = call.probs(asked, batch=slice(0, 1)).cpu().numpy()
        self.layers[call.layer] = (
            weights,
            {
                "grid": image.grid,
                "prefix": prefix,
                "queries": queries,
                "kind": "pool" if pooled else "self",
                "stage": call.stage,
            },
        )
        _, heads, rows, keys = call.shape
        before = f" after {', '.join(prefix)}" if prefix else ""
        self.layouts[call.layer] = (
            f"{'pool' if pooled else 'self'}: {rows} queries, {keys} keys: "
            f"{image.grid[0]}x{image.grid[1]} image{before}, {heads} heads"
        )

    def _places(self, prefix: list[str]) -> list[int]:
        from regard.errors import unknown

        for name in self.queries or ():
            if name not in prefix:
                raise unknown("token before the patches", name, prefix)
        return [prefix.index(name) for name in self.queries or ()]


def prefix_of(keys: Sequence[Any]) -> list[str]:
    """The names of the tokens before the patches; registers are numbered.

    Example:
        >>> from regard.tap import segments
        >>> prefix_of(segments(("cls", 1), ("register", 2), ("image", 4, (2, 2))))
        ['cls', 'register.1', 'register.2']
    """
    names: list[str] = []
    for segment in keys:
        if segment.name == "image":
            break
        one = len(segment) == 1 and segment.name != "register"
        names += [segment.name] if one else [f"{segment.name}.{i + 1}" for i in range(len(segment))]
    return names


def _check_room(vision: Any, grid: tuple[int, int], queries: Sequence[str] | None) -> None:
    """Refuse to keep more than fits, before the model runs."""
    if queries is not None:
        if isinstance(queries, str) or not queries:
            raise ArgumentError(
                f"look_at: queries is {queries!r}. Give a list of at least one, such as ['cls']."
            )
        return
    config = getattr(vision.model.config, "vision_config", vision.model.config)
    layers, heads = (
        getattr(config, name, 1) for name in ("num_hidden_layers", "num_attention_heads")
    )
    if not isinstance(layers, int) or not isinstance(heads, int):
        return  # several stages, each with heads of its own: of no family that is known
    tokens = grid[0] * grid[1] + 1 + getattr(config, "num_register_tokens", 0)
    needed = 4 * layers * heads * tokens**2
    if needed > MOST:
        raise ArgumentError(
            f"look_at: where every one of {tokens} tokens looks takes {needed / 2**30:.1f} GiB, "
            f"and a look keeps up to {MOST / 2**30:.0f}. Keep some rows with queries=['cls'], or "
            f"show the image smaller with size=."
        )
