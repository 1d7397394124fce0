"""The 80 templates of a prompt: what CLIP's authors put the classes of ImageNet in."""

import re

TEMPLATES = tuple(
    """
a bad photo of a {}.|a photo of many {}.|a sculpture of a {}.|a photo of the hard to see {}.
a low resolution photo of the {}.|a rendering of a {}.|graffiti of a {}.|a bad photo of the {}.
a cropped photo of the {}.|a tattoo of a {}.|the embroidered {}.|a photo of a hard to see {}.
a bright photo of a {}.|a photo of a clean {}.|a photo of a dirty {}.|a dark photo of the {}.
a drawing of a {}.|a photo of my {}.|the plastic {}.|a photo of the cool {}.
a close-up photo of a {}.|a black and white photo of the {}.|a painting of the {}.
a painting of a {}.|a pixelated photo of the {}.|a sculpture of the {}.|a bright photo of the {}.
a cropped photo of a {}.|a plastic {}.|a photo of the dirty {}.|a jpeg corrupted photo of a {}.
a blurry photo of the {}.|a photo of the {}.|a good photo of the {}.|a rendering of the {}.
a {} in a video game.|a photo of one {}.|a doodle of a {}.|a close-up photo of the {}.
a photo of a {}.|the origami {}.|the {} in a video game.|a sketch of a {}.|a doodle of the {}.
a origami {}.|a low resolution photo of a {}.|the toy {}.|a rendition of the {}.
a photo of the clean {}.|a photo of a large {}.|a rendition of a {}.|a photo of a nice {}.
a photo of a weird {}.|a blurry photo of a {}.|a cartoon {}.|art of a {}.|a sketch of the {}.
a embroidered {}.|a pixelated photo of a {}.|itap of the {}.|a jpeg corrupted photo of the {}.
a good photo of a {}.|a plushie {}.|a photo of the nice {}.|a photo of the small {}.
a photo of the weird {}.|the cartoon {}.|art of the {}.|a drawing of the {}.
a photo of the large {}.|a black and white photo of a {}.|the plushie {}.|a dark photo of a {}.
itap of a {}.|graffiti of the {}.|a toy {}.|itap of my {}.|a photo of a cool {}.
a photo of a small {}.|a tattoo of the {}.
""".strip()
    .replace("\n", "|")
    .split("|")
)
"""What CLIP's authors wrap a class of ImageNet in; ``{}`` is its place. ('itap': I took an image.)

Source: Radford et al. (2021), "Learning Transferable Visual Models From Natural Language
Supervision", arXiv 2103.00020, section 3.1.4, and the notebook published with it.
"""


def filled(prompt: str, *, legacy: bool = False) -> list[str]:
    """A prompt in each of the 80 `TEMPLATES`; where two articles meet, the prompt's own stays.

    Args:
        prompt: Such as 'a cat and a dog'.
        legacy: Do as the published code does: replace 'a a', then 'the a', by 'a' wherever these
            letters stand. It makes 'pandand' of 'panda and'; for the 276 prompts it is the same.

    Returns:
        80 texts.

    Example:
        >>> filled("an elephant")[:2]
        ['a bad photo of an elephant.', 'a photo of many an elephant.']
        >>> filled("panda and cat", legacy=True)[1]
        'a photo of many pandand cat.'
    """
    if legacy:
        texts = [template.replace("{}", prompt) for template in TEMPLATES]
        return [text.replace("a a", "a").replace("the a", "a") for text in texts]
    own = re.match(r"an?\b", prompt, re.IGNORECASE)
    parts = [template.split("{}") for template in TEMPLATES]
    return [
        (re.sub(r"\b(a|the) $", "", before) if own else before) + prompt + after
        for before, after in parts
    ]
