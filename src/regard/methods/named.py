"""The methods by name; none is imported until it is asked for."""

from regard.registry import Registry

methods = Registry(
    "method",
    {
        "attend-and-excite": "regard.methods.attend_and_excite:attend_and_excite",
        "choose-noise": "regard.methods.choose_noise:choose_noise",
        "consistory": "regard.methods.consistory:consistory",
        "drop": "regard.methods.reweight:drop",
        "identity": "regard.methods.perturb:identity",
        "nudge": "regard.methods.nudge:nudge",
        "perturbed-attention-guidance": "regard.methods.guidance:perturbed_attention_guidance",
        "prompt-to-prompt": "regard.methods.prompt_to_prompt:prompt_to_prompt",
        "scale": "regard.methods.reweight:scale",
        "scale-heads": "regard.methods.outputs:scale_heads",
        "scale-layers": "regard.methods.outputs:scale_layers",
        "share": "regard.methods.share:share",
        "shuffled": "regard.methods.perturb:shuffled",
        "smoothed-energy-guidance": "regard.methods.guidance:smoothed_energy_guidance",
        "svd-consistency": "regard.methods.svd_consistency:svd_consistency",
        "temperature": "regard.methods.perturb:temperature",
        "uniform": "regard.methods.perturb:uniform",
    },
)
