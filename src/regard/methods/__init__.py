"""Methods: named changes of attention, which a generation with any pipeline can carry.

A `Method` is made by a function of this package, such as `drop` or `temperature`; `Where` says in
which steps and layers it acts. A `Run` is what a method knows of a generation, and it answers with
`Changes`: edits for the tap, and at most one `Guide`; `everywhere` makes them of one edit.
`methods` lists the functions, `options_of` what each can be given; `parse` makes a method of a
text, and `from_recipe` of what `Method.recipe` wrote down.
"""

from typing import TYPE_CHECKING

from regard.methods.named import methods
from regard.registry import hand_out

if TYPE_CHECKING:
    from regard.methods.attend_and_excite import attend_and_excite
    from regard.methods.choose_noise import choose_noise
    from regard.methods.consistory import consistory
    from regard.methods.everywhere import everywhere
    from regard.methods.guidance import perturbed_attention_guidance, smoothed_energy_guidance
    from regard.methods.guide import Extra, Guide, Moment
    from regard.methods.method import Method, method
    from regard.methods.nudge import nudge
    from regard.methods.options import Option, options_of
    from regard.methods.outputs import scale_heads, scale_layers
    from regard.methods.perturb import identity, shuffled, temperature, uniform
    from regard.methods.prompt_to_prompt import prompt_to_prompt
    from regard.methods.recipe import from_recipe
    from regard.methods.reweight import drop, scale
    from regard.methods.run import Anchor, Changes, Plan, Run
    from regard.methods.share import share
    from regard.methods.spectrum import SpectrumFilter
    from regard.methods.svd_consistency import svd_consistency
    from regard.methods.text import parse
    from regard.methods.where import Where

__all__ = [
    "Anchor",
    "Changes",
    "Extra",
    "Guide",
    "Method",
    "Moment",
    "Option",
    "Plan",
    "Run",
    "SpectrumFilter",
    "Where",
    "attend_and_excite",
    "choose_noise",
    "consistory",
    "drop",
    "everywhere",
    "from_recipe",
    "identity",
    "method",
    "methods",
    "nudge",
    "options_of",
    "parse",
    "perturbed_attention_guidance",
    "prompt_to_prompt",
    "scale",
    "scale_heads",
    "scale_layers",
    "share",
    "shuffled",
    "smoothed_energy_guidance",
    "svd_consistency",
    "temperature",
    "uniform",
]

hand_out(
    __name__,
    {
        "Anchor": "regard.methods.run:Anchor",
        "Changes": "regard.methods.run:Changes",
        "Extra": "regard.methods.guide:Extra",
        "Guide": "regard.methods.guide:Guide",
        "Method": "regard.methods.method:Method",
        "Moment": "regard.methods.guide:Moment",
        "Option": "regard.methods.options:Option",
        "Plan": "regard.methods.run:Plan",
        "Run": "regard.methods.run:Run",
        "SpectrumFilter": "regard.methods.spectrum:SpectrumFilter",
        "Where": "regard.methods.where:Where",
        "everywhere": "regard.methods.everywhere:everywhere",
        "from_recipe": "regard.methods.recipe:from_recipe",
        "method": "regard.methods.method:method",
        "options_of": "regard.methods.options:options_of",
        "parse": "regard.methods.text:parse",
    },
    methods,
)
