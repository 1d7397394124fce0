"""Examples with known words, masks and colours; nothing comes from the web.

`scene` composes images of 24 subjects, `write_coco` writes them in COCO's layout,
`regard.data.prompts` holds the 276 two-subject prompts of Attend-and-Excite, and `fashion_mnist`
reads the official files of Fashion-MNIST.
"""

from regard.data.coco import write_coco
from regard.data.drawings import ANIMALS, COLOURS, OBJECTS, SUBJECTS
from regard.data.fashion_mnist import FashionMNIST, fashion_mnist
from regard.data.scenes import BACKGROUNDS, Mention, Placed, Scene, caption, mentions_in, scene

__all__ = [
    "ANIMALS",
    "BACKGROUNDS",
    "COLOURS",
    "OBJECTS",
    "SUBJECTS",
    "FashionMNIST",
    "Mention",
    "Placed",
    "Scene",
    "caption",
    "fashion_mnist",
    "mentions_in",
    "scene",
    "write_coco",
]
