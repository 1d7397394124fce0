"""A module that is running, and the attention inside it so far."""

from dataclasses import dataclass

from torch import Tensor

from regard.tap.eager import Pending
from regard.tap.model import Site


@dataclass
class Frame:
    """A module that is running, and the attention inside it.

    Attributes:
        site: The module.
        index: How many attention calls it has made.
        product: Factors of the last matrix product: perhaps q and k.
        pending: A softmax of that product, not yet multiplied by its values.
        sleeper: During what the watch slept until this one came; None if it was awake.
        dozes: Whether the watch sleeps here too, and sees the fused attention called by its name.
        by_name: Whether all its attention calls were such.
    """

    site: Site
    index: int = 0
    product: tuple[Tensor, Tensor] | None = None
    pending: Pending | None = None
    sleeper: object | None = None
    dozes: bool = False
    by_name: bool = True
