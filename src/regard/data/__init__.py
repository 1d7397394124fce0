"""Examples with known words, masks and colours; nothing comes from the web.

`scene` draws pictures of 24 subjects, `write_coco` writes them in COCO's layout, and
`regard.data.prompts` holds the 276 two-subject prompts of Attend-and-Excite.
"""

from regard.data.coco import write_coco
from regard.data.drawings import ANIMALS, COLOURS, OBJECTS, SUBJECTS
from regard.data.scenes import BACKGROUNDS, Mention, Placed, Scene, caption, mentions_in, scene

__all__ = [
    "ANIMALS",
    "BACKGROUNDS",
    "COLOURS",
    "OBJECTS",
    "SUBJECTS",
    "Mention",
    "Placed",
    "Scene",
    "caption",
    "mentions_in",
    "scene",
    "write_coco",
]
