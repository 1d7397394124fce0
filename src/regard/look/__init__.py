"""The one-call path: generate an image from a prompt and see which regions attend to each word.

* `look`: an image with its trace, and the `Look` that holds them; of several prompts or seeds,
  `Looks`.
* `SelfAttention`: of which of the image's own patches `look` keeps where they attend.
* `look_at`: an image of yours, and where each of its patches attends in a vision transformer.
* `verify`: the leave-one-word-out check, what the image would have been without each word.
* `check_folder`: whether `Look.save` could write somewhere, asked before the work is done.
"""

from regard.look.image import look_at
from regard.look.observe import look
from regard.look.output import check_folder
from regard.look.result import Look
from regard.look.self_attention import SelfAttention
from regard.look.several import Looks
from regard.look.verify import verify

__all__ = ["Look", "Looks", "SelfAttention", "check_folder", "look", "look_at", "verify"]
