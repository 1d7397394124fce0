"""What a tap is opened on: the models of a pipeline, their layers, and kernels that hide."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from regard.errors import ArgumentError, NothingObserved
from regard.layers import LayerInfo
from regard.tap.eager import heads_of
from regard.tap.family import FamilyLayout, uncompiled_of
from regard.tap.layout import Layout
from regard.tap.proven import family_or_proven, why_unknown

DENOISERS = ("unet", "transformer", "transformer_2", "prior")
HIDDEN_PROCESSORS = ("XFormers", "Sliced")
CURE = (
    "Use reset_attention_backend(), disable_attention_slicing(), set_default_attn_processor() or "
    "set_attn_implementation('sdpa') while looking."
)


@dataclass
class Root:
    """A model that is tapped.

    Attributes:
        model: The module.
        prefix: What stands before its layers' paths; empty for the first model.
        family: Its layouts; None if unknown.
        unknown: Why they are not known, where that was found out.
        parameters: Names of its forward's arguments.
        inputs: The arguments of the forward that is running, or ran last.
        ran: Whether it was run.
    """

    model: nn.Module
    prefix: str
    family: FamilyLayout | None
    unknown: str
    parameters: list[str]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    ran: bool = False


@dataclass(frozen=True, eq=False)
class Site:
    """A module that attention may be computed in.

    Attributes:
        layer: Dotted path, as `AttentionCall.layer` has it.
        module: The module.
        owner: The module at that path: the same, or the attention whose processor it is.
        root: The model that it is a part of.
        path: Dotted path within that model.
        stage: 'down', 'mid' or 'up'; None where a model has no stages.
        attention: What to call it if it says that it is attention; None if it does not.
    """

    layer: str
    module: nn.Module
    owner: nn.Module
    root: Root
    path: str
    stage: str | None
    attention: str | None


def sites_of(root: Root) -> Iterator[Site]:
    """The modules of a model that name a layer."""
    for name, module in layer_modules(root.model):
        layer = joined(root.prefix, name.removesuffix(".processor")) or "(root)"
        path = layer.removeprefix(root.prefix).removeprefix(".")
        stage = root.family.stage(path) if root.family else None
        owner = root.model.get_submodule(path) if name.endswith(".processor") else module
        yield Site(layer, module, owner, root, path, stage, attention_name(module))


def layer_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The modules that name a layer: the model itself and all that have parts."""
    for name, module in model.named_modules():
        if not name or next(module.children(), None) is not None:
            yield name, module


def attention_layers(model: Any) -> dict[str, int]:
    """The layers of a pipeline's denoiser, or of a module, that say they are attention.

    Args:
        model: What `Tap` takes.

    Returns:
        From the path of each layer, as `AttentionCall.layer` has it, to its number of heads.

    Raises:
        ArgumentError: a pipeline without a denoiser.

    Example:
        >>> attention_layers(nn.Sequential(nn.MultiheadAttention(8, num_heads=2)))
        {'0': 2}
    """
    return {
        joined(prefix, name.removesuffix(".processor")) or "(root)": heads_of(module, 0)
        for prefix, part in models_of(model).items()
        for name, module in layer_modules(part)
        if attention_name(module)
    }


def layer_infos(model: Any) -> list[LayerInfo]:
    """The same layers as `attention_layers` in running order, with what they can be called by.

    Args:
        model: What `Tap` takes.

    Returns:
        Path, heads, stage and kind, as far as they are known before the model has run; no grid.

    Raises:
        ArgumentError: a pipeline without a denoiser.

    Example:
        >>> layer_infos(nn.Sequential(nn.MultiheadAttention(8, num_heads=2)))
        [LayerInfo(path='0', kind='', stage='', grid='', heads=2)]
    """
    found: list[LayerInfo] = []
    for prefix, part in models_of(model).items():
        family = known_family(part)
        own = [
            LayerInfo(
                joined(prefix, path) or "(root)",
                kind=_kind_of(module) if family else "",
                stage=(family.stage(path) or "") if family else "",
                heads=heads_of(module, 0),
            )
            for name, module in layer_modules(part)
            if attention_name(module)
            for path in [name.removesuffix(".processor")]
        ]
        # UNets declare their middle last; a stable sort leaves the others as they are declared.
        found += sorted(own, key=lambda layer: _RUNNING.get(layer.stage, 0))
    return found


_RUNNING = {"down": 0, "mid": 1, "up": 2}


def _kind_of(module: nn.Module) -> str:
    """The kind of attention that a module of a known family is built for.

    Layers of diffusers have the weights of added keys, or say that they read the text; blocks of
    FLUX that hold image and text in one sequence have no output of their own.
    """
    given = vars(module)
    if given.get("added_kv_proj_dim") is not None or given.get("pre_only"):
        return "joint"
    return "cross" if given.get("is_cross_attention") else "self"


def attention_name(module: nn.Module) -> str | None:
    """What to call a module that is attention by its name or processor; None if it is not."""
    kind = type(_part(module, "processor") or module).__name__
    if isinstance(module, nn.MultiheadAttention) or hasattr(type(module), "get_processor"):
        return kind
    parts = any(type(part).__name__.endswith("Attention") for part in module.children())
    return kind if type(module).__name__.endswith("Attention") and not parts else None


def kernel_of(module: nn.Module) -> tuple[Any, Any]:
    """What decides how a module computes its attention: its processor, and its implementation."""
    config = _part(module, "config")
    return _part(module, "processor") or module, getattr(config, "_attn_implementation", None)


def refuse_hidden_kernels(model: nn.Module) -> None:
    """Refuse attention kernels that never show their queries and keys to torch.

    Raises:
        NothingObserved: the model is set to use one; the message names it and the cure.
    """
    hidden = {}
    for name, module in model.named_modules():
        kernel = _hidden_kernel(module)
        if kernel:
            hidden[name or "the model"] = kernel
    if hidden:
        found = some_of([f"{name} ({kernel})" for name, kernel in hidden.items()])
        raise NothingObserved(
            f"{type(model).__name__}: its attention kernels show no query and key: {found}. {CURE}"
        )


def _hidden_kernel(module: nn.Module) -> str | None:
    processor = _part(module, "processor")
    backend = getattr(processor, "_attention_backend", None)
    backend = str(getattr(backend, "value", backend)).lstrip("_")
    if not backend.startswith(("native", "None")):
        return backend
    if any(word in type(processor).__name__ for word in HIDDEN_PROCESSORS):
        return type(processor).__name__
    implementation = getattr(_part(module, "config"), "_attn_implementation", None)
    return None if implementation in (None, "sdpa", "eager") else str(implementation)


def _part(module: nn.Module, name: str) -> Any:
    """An attribute or a part of a module; None if it has neither, which getattr is slow to find."""
    own = vars(module)
    if name in own:
        return own[name]
    return dict(own["_modules"].items()).get(name)  # a scripted module's has no get


def tapped_of(target: Any) -> Any:
    """What is tapped of a model that is opened by `regard.load`; anything else as it is."""
    return target if isinstance(target, nn.Module) else getattr(target, "tapped", target)


def models_of(target: Any) -> dict[str, nn.Module]:
    """The models to tap by the prefix of their layers' paths: a module, or denoisers of a pipeline.

    Raises:
        ArgumentError: it is neither, or a pipeline without a denoiser.
    """
    target = tapped_of(target)
    if isinstance(target, nn.Module):
        return {"": uncompiled_of(target)}
    parts = getattr(target, "components", None)
    if parts is None:
        raise ArgumentError(
            f"Tap: got a {type(target).__name__} and needs a diffusers pipeline or an nn.Module."
        )
    found = {name: parts[name] for name in DENOISERS if parts.get(name) is not None}
    if not found:
        raise ArgumentError(
            f"Tap: {type(target).__name__} has none of {', '.join(DENOISERS)}, but "
            f"{', '.join(sorted(parts)) or 'nothing'}. Pass the module to look at."
        )
    first, *others = (uncompiled_of(model) for model in found.values())
    return {"": first} | dict(zip(list(found)[1:], others, strict=True))


def others_of(pipeline: Any) -> dict[str, nn.Module]:
    """The parts of a pipeline that are not tapped and have attention, by name."""
    parts = {
        name: uncompiled_of(part)
        for name, part in pipeline.components.items()
        if isinstance(part, nn.Module) and name not in DENOISERS
    }
    return {name: part for name, part in parts.items() if attention_layers(part)}


def root_of(model: nn.Module, prefix: str, layout: Layout | None) -> Root:
    """A model that is tapped, with its family's layouts or these."""
    family = FamilyLayout(layout) if layout else known_family(model)
    unknown = "" if family else why_unknown(model)
    return Root(model, prefix, family, unknown, list(inspect.signature(model.forward).parameters))


def known_family(model: nn.Module) -> FamilyLayout | None:
    """The family of a model; None where what its tokens are is not known."""
    layers = {name: module for name, module in layer_modules(model) if attention_name(module)}
    return family_or_proven(model, layers)


def joined(*parts: str) -> str:
    """A dotted path, of parts that may be empty."""
    return ".".join(part for part in parts if part)


def some_of(names: list[str], most: int = 8) -> str:
    """The first names of a list that may be long."""
    return ", ".join(names[:most]) + (" ..." if len(names) > most else "")
