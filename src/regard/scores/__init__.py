"""Numbers of images: how well they fit a text, how far apart they are, and what they show.

`scores` lists functions of images and texts; each is an attribute of this package too, such as
`regard.scores.clip_score`. `judges` lists classes that compare generated images with a baseline,
as `regard.look.verify` and the experiments take them: a judge is called with images, their requests
and the baseline, and gives columns with units. Most need an encoder, and load torch when they are
called.
"""

from typing import TYPE_CHECKING, Any

from regard.registry import hand_out
from regard.scores.named import judges, scores

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...  # each of the tables


__all__ = ["judges", "scores"]

# A module is called like the registry of judges, which the package hands out all the same.
hand_out(__name__, {"judges": "regard.scores.named:judges"}, scores, judges)
