"""A user's own network, or a bundled one, behind one face.

* `load`: open a bundled model by its name, a folder in the layout of its library, or a model of the
  Hugging Face Hub.
* `Vision`: a vision transformer with all that it needs to be shown an image.
* `detector`, `captioner`, `encoder`: what an image shows, what one would say of it, and its vector.
"""

from regard.models.load import fingerprint, library_model, load, name_of, vision_of
from regard.models.vision import Preparation, Vision

__all__ = ["Preparation", "Vision", "fingerprint", "library_model", "load", "name_of", "vision_of"]
