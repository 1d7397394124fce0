"""Attention weights, known in one of several ways, and what can be read from each.

P are the weights, s = scale * q·k + bias the scores; a row of P is the softmax of a row of s:

* ``Fused``: P follows from queries and keys. What is linear in P costs one call of the model's own
  fused kernel: P V with other values V, and the transpose of P as its gradient. No array of size
  queries x keys is made, unless ``probs`` is called.
* ``Explicit``: the model computed s itself, and P is its softmax.
* ``Replaced``: an edit put another P in its place.
* ``Identity``: an edit made each query attend to itself alone.
* ``Injected``: an edit injected another row's weights, and kept a share of the row's own.
* ``Extended``: a row of the batch attends to keys that others lend it too, beside its own.
* ``Mixed``: some rows of the batch are known in one way, the others in another.
"""

from regard.tap.weights.base import ALL, PerKey, PerQuery, Rows, Scores, Weights, as_4d, indices
from regard.tap.weights.explicit import Explicit
from regard.tap.weights.extended import Extended, Lent, extended
from regard.tap.weights.fused import Fused, sdpa
from regard.tap.weights.injected import Injected
from regard.tap.weights.mixed import Mixed, with_rows
from regard.tap.weights.replaced import Identity, Replaced

__all__ = [
    "ALL",
    "Explicit",
    "Extended",
    "Fused",
    "Identity",
    "Injected",
    "Lent",
    "Mixed",
    "PerKey",
    "PerQuery",
    "Replaced",
    "Rows",
    "Scores",
    "Weights",
    "as_4d",
    "extended",
    "indices",
    "sdpa",
    "with_rows",
]
