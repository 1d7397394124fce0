"""Plain extended attention: images attend to the patches of some others too."""

import math
from collections.abc import Sequence

from regard.arguments import number_or_none, shown
from regard.errors import ArgumentError
from regard.methods.lend import (
    LENDING,
    anchors_of,
    check_branches,
    checked_anchors,
    image_kv,
    lending,
)
from regard.methods.method import method
from regard.methods.run import Changes, Plan, Run
from regard.methods.where import EVERYWHERE, Where


@method(where=LENDING)
def share(
    anchors: Sequence[str],
    *,
    seeds: Sequence[int] | None = None,
    weight: float = 1.0,
    branches: str = "both",
    where: Where = EVERYWHERE,
) -> Plan:
    """Let the image attend to the patches of other images too, which are generated beside it.

    The other images, the anchors, attend to each other and to nothing else.

    Args:
        anchors: Their prompts, such as the same subject in other scenes.
        seeds: Of their initial noise, one for each; those after the image's own if left out.
        weight: What the attention to a patch of an anchor counts beside that to one of the image's
            own; 0 changes nothing.
        branches: Of classifier-free guidance: ``cond``, ``uncond`` or ``both``.
        where: Steps, layers and stage; see `Where`. By default the up path of a U-Net, or all
            layers of a transformer.

    Returns:
        A method; the images of its anchors are generated in the same batch.

    Raises:
        ArgumentError: no anchor, one without a word, not a seed for each, a weight below 0; in a
            run, as for `drop`, or a model without self-attention of the image.
        UnknownName: in a run, a layer that is not there.
        UnsupportedEdit: in a run, a layer with eager (explicit) softmax attention.

    Example:
        >>> share(["a cat on the grass", "a cat on the beach"], weight=0.5).recipe()
        {'method': 'share', 'anchors': ['a cat on the grass', 'a cat on the beach'], 'weight': 0.5}

    Source:
        Tewel et al. (2024), "Training-Free Consistent Text-to-Image Generation", arXiv 2402.03286,
        section 4.1, equations 2 and 3, without subject masks.

    Differs from the paper:
        All patches of the anchors are attended to, the background too: this is the baseline that
        masks and filters are compared with.
    """
    prompts, numbers = checked_anchors(anchors, seeds, "share")
    check_branches(branches, "share")
    factor = number_or_none(weight)
    if factor is None or not 0 <= factor < math.inf:
        raise ArgumentError(f"share: weight is {shown(weight)} and must be 0 or more; 1 is usual.")

    def plan(run: Run) -> Changes:
        if not factor:
            return Changes()
        return lending(
            share,
            run,
            anchors_of(prompts, numbers, run),
            lambda call, rows: [image_kv(call, row) for row in rows],
            where=where,
            branches=branches,
            bias=math.log(factor),
        )

    return plan
