"""Checkpoints in the layout of Stable Diffusion's authors, written from a tiny pipeline."""

import re
from typing import Any

import torch
from torch import Tensor

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "time_emb_proj": "emb_layers.1",
    "conv_shortcut": "skip_connection",
}
TOP = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
OPEN_CLIP = {
    "embeddings.position_embedding.weight": "positional_embedding",
    "embeddings.": "",
    "final_layer_norm": "ln_final",
    "encoder.layers": "transformer.resblocks",
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "fc1": "c_fc",
    "fc2": "c_proj",
    "self_attn": "attn",
}
ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}


def checkpoint(pipeline: Any) -> dict[str, Tensor]:
    """All weights of Stable Diffusion 1 or XL as one file of its authors has them."""
    unet, vae = pipeline.unet, pipeline.vae
    found = {
        f"model.diffusion_model.{unet_name(name, unet.config.layers_per_block)}": value
        for name, value in unet.state_dict().items()
    }
    blocks = len(vae.config.up_block_types)
    for name, value in vae.state_dict().items():
        theirs = vae_name(name, blocks)
        # Their attention is made of convolutions of 1 x 1.
        wide = "attn_1" in theirs and value.ndim == 2
        found[f"first_stage_model.{theirs}"] = value[..., None, None] if wide else value
    xl = getattr(pipeline, "text_encoder_2", None) is not None
    place = "conditioner.embedders.0" if xl else "cond_stage_model"
    for name, value in pipeline.text_encoder.state_dict().items():
        found[f"{place}.transformer.text_model.{name.removeprefix('text_model.')}"] = value
    if xl:
        found |= open_clip(pipeline.text_encoder_2, "conditioner.embedders.1.model.")
    return {name: value.clone().contiguous() for name, value in found.items()}


def open_clip(encoder: Any, place: str) -> dict[str, Tensor]:
    """A text encoder in the layout of OpenCLIP: queries, keys and values in one matrix."""
    weights = {n.removeprefix("text_model."): v for n, v in encoder.state_dict().items()}
    found = {"text_projection": weights.pop("text_projection.weight").T}
    for name in [name for name in weights if ".q_proj." in name]:
        three = [weights.pop(name.replace(".q_proj.", f".{part}_proj.")) for part in "qkv"]
        weights[name.replace("q_proj.", "in_proj_")] = torch.cat(three)
    for name, value in weights.items():
        for ours, theirs in OPEN_CLIP.items():
            name = name.replace(ours, theirs)
        found[name] = value
    return {f"{place}{name}": value for name, value in found.items()}


def unet_name(name: str, layers: int) -> str:
    """What the authors call a tensor of the UNet, of as many layers a block."""
    for ours, theirs in TOP.items():
        if name.startswith(f"{ours}."):
            return name.replace(ours, theirs, 1)
    head, _, rest = name.partition(".")
    if head == "mid_block":
        kind, number, rest = rest.split(".", 2)
        place = f"middle_block.{2 * int(number) if kind == 'resnets' else 1}"
        return f"{place}.{resnet(rest) if kind == 'resnets' else rest}"
    block, kind, number, rest = rest.split(".", 3)
    if head == "down_blocks":
        first = int(block) * (layers + 1) + 1
        if kind == "downsamplers":
            return f"input_blocks.{first + layers}.0.{rest.replace('conv', 'op')}"
        place = f"input_blocks.{first + int(number)}"
    else:
        first = int(block) * (layers + 1)
        if kind == "upsamplers":
            return f"output_blocks.{first + layers}.2.{rest}"
        place = f"output_blocks.{first + int(number)}"
    return f"{place}.0.{resnet(rest)}" if kind == "resnets" else f"{place}.1.{rest}"


def resnet(rest: str) -> str:
    """The parts of a residual block."""
    part, _, end = rest.partition(".")
    return f"{RESNET[part]}.{end}"


def vae_name(name: str, blocks: int) -> str:
    """What the authors call a tensor of the autoencoder, of as many blocks each way."""
    name = name.replace("conv_norm_out", "norm_out").replace("conv_shortcut", "nin_shortcut")
    name = re.sub(r"down_blocks\.(\d+)\.resnets", r"down.\1.block", name)
    name = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", name)
    back = lambda found: f"up.{blocks - 1 - int(found[1])}"  # noqa: E731
    name = re.sub(r"up_blocks\.(\d+)", back, name)
    name = name.replace("resnets", "block").replace("upsamplers.0", "upsample")
    name = re.sub(r"mid_block\.block\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    if "mid_block.attentions.0" in name:
        name = name.replace("mid_block.attentions.0", "mid.attn_1")
        for ours, theirs in ATTENTION.items():
            name = name.replace(f".{ours}.", f".{theirs}.")
    return name
