"""Explanations by name, and what they all look like."""

from collections.abc import Callable, Mapping, Sequence

import xarray as xr

from regard.arguments import listed, shown
from regard.errors import ArgumentError
from regard.registry import Registry

Explanation = Callable[..., xr.DataArray]
"""``f(model, pixels, target=None, *, score=None, ...)``: a map over sample, y and x."""

WordExplanation = Callable[..., xr.DataArray]
"""``f(model, prompt, *, words=None, ..., **sampling)``: maps over y and x, by word or by token."""

Methods = Sequence[str] | Mapping[str, Explanation]

explanations = Registry(
    "explanation",
    {
        "attention": "regard.explain.attention:attention",
        "attention_gradients": "regard.explain.gradients:attention_gradients",
        "edges": "regard.explain.baselines:edges",
        "integrated_gradients": "regard.explain.integrated:integrated_gradients",
        "occlusion": "regard.explain.occlusion:occlusion",
        "random": "regard.explain.baselines:random",
        "relevance": "regard.explain.gradients:relevance",
        "rollout": "regard.explain.attention:rollout",
    },
)

word_explanations = Registry(
    "word-explanation",
    {
        "propagated_words": "regard.explain.propagate:propagated_words",
        "word_regions": "regard.explain.regions:word_regions",
        "word_rollout": "regard.explain.word_rollout:word_rollout",
    },
)


def by_name(methods: Methods) -> dict[str, Explanation]:
    """The explanations of these names, or those given.

    Raises:
        ArgumentError: there are none.
        UnknownName: there is no explanation of a name.

    Example:
        >>> list(by_name(["random"]))
        ['random']
    """
    if isinstance(methods, str):
        methods = [methods]
    if not isinstance(methods, Mapping) and listed(methods) is None:
        raise ArgumentError(
            f"explain: methods is {shown(methods)} and must be names, such as ['rollout']."
        )
    if not methods:
        raise ArgumentError("explain: no methods are named. Give at least one, such as 'rollout'.")
    if isinstance(methods, Mapping):
        return dict(methods)
    return {name: explanations.get(str(name)) for name in methods}
