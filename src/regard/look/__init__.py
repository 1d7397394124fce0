"""The one-call path: make an image from a prompt and see where each word was looked at.

* `look`: one image with its trace, and the `Look` that holds them.
* `look_at`: a picture of yours, and where each of its patches looks in a vision transformer.
* `prove`: what the image would have been without each word; `Judges` say what changed.
* `check_folder`: whether `Look.save` could write somewhere, asked before the work is done.
"""

from regard.look.observe import look
from regard.look.output import check_folder
from regard.look.picture import look_at
from regard.look.proof import Judges, prove
from regard.look.result import Look

__all__ = ["Judges", "Look", "check_folder", "look", "look_at", "prove"]
