"""Tiny pipelines with guidance of many kinds, each run on one of two prompts beside one other."""

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image

import joint
import tiny
from tiny import noise

PROMPTS = ("a cat", "a red dog on grass")
NEGATIVE = "a blue car"
MASKS = ("prompt_attention_mask", "negative_prompt_attention_mask")


def told(which: int, **more: Any) -> dict[str, Any]:
    """The usual arguments, with one of the two prompts."""
    return {
        "prompt": PROMPTS[which],
        "negative_prompt": NEGATIVE,
        "num_inference_steps": 2,
        "guidance_scale": 4.0,
        "output_type": "latent",
        **more,
    }


def embedded(which: int, wide: int, /, *, masks: bool = False, **more: Any) -> dict[str, Any]:
    """The same for a pipeline that is given the encoded text instead."""
    given = {
        "prompt_embeds": noise(1, 5, wide, seed=10 + which),
        "negative_prompt_embeds": noise(1, 5, wide, seed=20),
    }
    if masks:
        given |= {name: torch.ones(1, 5, dtype=torch.long) for name in MASKS}
    both = told(which) | given | more
    return {name: each for name, each in both.items() if name not in ("prompt", "negative_prompt")}


def picture() -> Image.Image:
    """The same few colours each time."""
    return Image.frombytes("RGB", (16, 16), bytes(7 * n % 256 for n in range(3 * 16 * 16)))


MASK = Image.new("L", (16, 16), 255)


class Case:
    """A pipeline and how it is called.

    Args:
        name: Of its class in diffusers.
        build: Makes its parts.
        call: From the number of a prompt to its arguments.
    """

    def __init__(
        self,
        name: str,
        build: Callable[[], dict[str, Any]],
        call: Callable[[int], dict[str, Any]] = told,
    ) -> None:
        self.name, self.build, self.call = name, build, call

    def __repr__(self) -> str:
        return self.name

    def pipeline(self) -> Any:
        import diffusers

        made = getattr(diffusers, self.name)(**self.build())
        made.set_progress_bar_config(disable=True)
        return made

    def run(self, pipeline: Any, which: int) -> Any:
        draw = torch.Generator().manual_seed(0)
        with torch.no_grad():
            return pipeline(**{"generator": draw, **self.call(which)})


def sd(**more: Any) -> Callable[[], dict[str, Any]]:
    """The parts of Stable Diffusion."""
    return lambda: {
        **tiny.tiny_pipeline().components,
        "requires_safety_checker": False,
        **{name: each() if callable(each) else each for name, each in more.items()},
    }


def without_image_encoder(**more: Any) -> Callable[[], dict[str, Any]]:
    return lambda: {k: v for k, v in sd(**more)().items() if k != "image_encoder"}


def controlnet() -> Any:
    from diffusers import ControlNetModel

    return tiny.seeded(
        lambda: ControlNetModel.from_unet(
            tiny.tiny_unet(), conditioning_embedding_out_channels=(8, 16)
        )
    )


def instructed() -> Any:
    from diffusers import UNet2DConditionModel

    config = {**settings(tiny.tiny_unet()), "in_channels": 8}
    return tiny.seeded(lambda: UNet2DConditionModel(**config))


def settings(model: Any) -> dict[str, Any]:
    """The arguments that a model was made with."""
    return {name: value for name, value in model.config.items() if name[0] != "_"}


def xl() -> dict[str, Any]:
    """The parts of Stable Diffusion XL."""
    from diffusers import UNet2DConditionModel

    own = tiny.tiny_pipeline().components
    config = {
        **settings(own["unet"]),
        "cross_attention_dim": 32,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "projection_class_embeddings_input_dim": 6 * 8 + 16,
    }
    return {
        "vae": own["vae"],
        "scheduler": own["scheduler"],
        "tokenizer": own["tokenizer"],
        "tokenizer_2": own["tokenizer"],
        "text_encoder": tiny.tiny_text_encoder(own["tokenizer"]),
        "text_encoder_2": joint.tiny_clip(own["tokenizer"]),
        "unet": tiny.seeded(lambda: UNet2DConditionModel(**config)),
        "add_watermarker": False,
    }


def xl_controlnet() -> Any:
    from diffusers import ControlNetModel

    unet = xl()["unet"]
    return tiny.seeded(
        lambda: ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(8, 16))
    )


def sd3() -> dict[str, Any]:
    return dict(joint.tiny_sd3_pipeline(t5=False).components)


def bare_sd3() -> dict[str, Any]:
    return {k: v for k, v in sd3().items() if k not in ("image_encoder", "feature_extractor")}


def flux(**more: Any) -> Callable[[], dict[str, Any]]:
    def build() -> dict[str, Any]:
        parts = dict(joint.tiny_flux_pipeline().components)
        taken = ("scheduler", "vae", "text_encoder", "tokenizer", "text_encoder_2", "tokenizer_2")
        made = {name: parts[name] for name in (*taken, "transformer")}
        return made | {name: each() for name, each in more.items()}

    return build


def twice(which: int, **more: Any) -> dict[str, Any]:
    """FLUX with both prompts, one after the other."""
    return told(which, true_cfg_scale=2.0, height=16, width=16, **more)


def once(which: int, **more: Any) -> dict[str, Any]:
    given = told(which, height=16, width=16, **more)
    del given["negative_prompt"]
    return given


def flux_controlnet() -> Any:
    from diffusers import FluxControlNetModel

    config = {k: v for k, v in settings(joint.tiny_flux()).items() if k != "out_channels"}
    return tiny.seeded(lambda: FluxControlNetModel(**config))


def flowing(transformer: Any, vae: Any) -> dict[str, Any]:
    """The parts of a flow-matching pipeline that is given encoded text."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    return {
        "scheduler": FlowMatchEulerDiscreteScheduler(),
        "vae": vae,
        "text_encoder": None,
        "tokenizer": joint.tiny_t5_tokenizer(),
        "transformer": transformer,
    }


def ltx() -> dict[str, Any]:
    from diffusers import (
        AutoencoderKLLTXVideo,
        LTXVideoTransformer3DModel,
    )

    vae = tiny.seeded(
        lambda: AutoencoderKLLTXVideo(
            latent_channels=8,
            block_out_channels=(8, 8, 8, 8),
            decoder_block_out_channels=(8, 8, 8, 8),
            layers_per_block=(1, 1, 1, 1, 1),
            decoder_layers_per_block=(1, 1, 1, 1, 1),
        )
    )
    transformer = tiny.seeded(
        lambda: LTXVideoTransformer3DModel(
            in_channels=8,
            out_channels=8,
            num_attention_heads=2,
            attention_head_dim=8,
            cross_attention_dim=16,
            num_layers=1,
            caption_channels=16,
        )
    )
    return flowing(transformer, vae)


def chroma() -> dict[str, Any]:
    from diffusers import ChromaTransformer2DModel

    transformer = tiny.seeded(
        lambda: ChromaTransformer2DModel(
            in_channels=16,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            axes_dims_rope=(4, 2, 2),
            approximator_hidden_dim=16,
            approximator_layers=1,
        )
    )
    return flowing(transformer, tiny.tiny_vae(shift_factor=0.1))


def pixart() -> dict[str, Any]:
    from diffusers import DDIMScheduler, PixArtTransformer2DModel

    transformer = tiny.seeded(
        lambda: PixArtTransformer2DModel(
            sample_size=8,
            num_layers=1,
            num_attention_heads=2,
            attention_head_dim=8,
            in_channels=4,
            out_channels=8,
            cross_attention_dim=16,
            caption_channels=16,
            norm_num_groups=1,
            use_additional_conditions=False,
        )
    )
    return {
        "tokenizer": joint.tiny_t5_tokenizer(),
        "text_encoder": None,
        "vae": tiny.tiny_vae(),
        "transformer": transformer,
        "scheduler": DDIMScheduler(),
    }


def aura() -> dict[str, Any]:
    from diffusers import AuraFlowTransformer2DModel

    transformer = tiny.seeded(
        lambda: AuraFlowTransformer2DModel(
            sample_size=8,
            num_mmdit_layers=1,
            num_single_dit_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            joint_attention_dim=16,
            caption_projection_dim=16,
            pos_embed_max_size=64,
        )
    )
    return flowing(transformer, tiny.tiny_vae())


def deepfloyd() -> dict[str, Any]:
    from diffusers import DDPMScheduler, UNet2DConditionModel

    unet = tiny.seeded(
        lambda: UNet2DConditionModel(
            sample_size=8,
            in_channels=3,
            out_channels=6,
            block_out_channels=(8, 16),
            layers_per_block=1,
            down_block_types=("ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"),
            mid_block_type="UNetMidBlock2DSimpleCrossAttn",
            up_block_types=("SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"),
            cross_attention_dim=16,
            encoder_hid_dim=16,
            encoder_hid_dim_type="text_proj",
            attention_head_dim=8,
            addition_embed_type="text",
            addition_embed_type_num_heads=2,
            norm_num_groups=4,
            resnet_time_scale_shift="scale_shift",
            act_fn="gelu",
        )
    )
    return {
        "tokenizer": joint.tiny_t5_tokenizer(),
        "text_encoder": None,
        "unet": unet,
        "scheduler": DDPMScheduler(variance_type="learned_range"),
        "safety_checker": None,
        "feature_extractor": None,
        "watermarker": None,
        "requires_safety_checker": False,
    }


def zimage() -> dict[str, Any]:
    from diffusers import ZImageTransformer2DModel

    transformer = tiny.seeded(
        lambda: ZImageTransformer2DModel(
            in_channels=4,
            dim=32,
            n_layers=1,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=16,
            axes_dims=[8, 4, 4],
            axes_lens=[256, 32, 32],
        )
    )
    return flowing(transformer, tiny.tiny_vae(shift_factor=0.1))


def listed(which: int) -> dict[str, Any]:
    given = embedded(which, 16, height=16, width=16)
    names = ("prompt_embeds", "negative_prompt_embeds")
    return given | {name: [given[name][0]] for name in names}


def drawn(which: int) -> dict[str, Any]:
    return told(which, image=picture(), strength=1.0)


def painted(which: int) -> dict[str, Any]:
    return told(which, image=picture(), mask_image=MASK, height=16, width=16, strength=1.0)


def led(which: int) -> dict[str, Any]:
    return told(which, image=picture(), controlnet_conditioning_scale=0.5)


CASES = [
    Case("StableDiffusionPipeline", sd()),
    Case("StableDiffusionImg2ImgPipeline", sd(), drawn),
    Case("StableDiffusionInpaintPipeline", sd(), painted),
    Case("StableDiffusionPAGPipeline", sd(), lambda w: told(w, pag_scale=3.0)),
    Case("StableDiffusionPAGImg2ImgPipeline", sd(), lambda w: drawn(w) | {"pag_scale": 3.0}),
    Case("StableDiffusionPAGInpaintPipeline", sd(), lambda w: painted(w) | {"pag_scale": 3.0}),
    Case("StableDiffusionControlNetPipeline", sd(controlnet=controlnet), led),
    Case(
        "StableDiffusionControlNetImg2ImgPipeline",
        sd(controlnet=controlnet),
        lambda w: drawn(w) | {"control_image": picture()},
    ),
    Case(
        "StableDiffusionControlNetInpaintPipeline",
        sd(controlnet=controlnet),
        lambda w: painted(w) | {"control_image": picture()},
    ),
    Case(
        "StableDiffusionInstructPix2PixPipeline",
        sd(unet=instructed),
        lambda w: told(w, image=picture()),
    ),
    Case(
        "StableDiffusionAttendAndExcitePipeline",
        without_image_encoder(),
        lambda w: told(w, token_indices=[2], attn_res=(8, 8), max_iter_to_alter=0, thresholds={}),
    ),
    Case("StableDiffusionXLPipeline", xl, lambda w: told(w, height=16, width=16)),
    Case("StableDiffusionXLImg2ImgPipeline", xl, drawn),
    Case("StableDiffusionXLInpaintPipeline", xl, painted),
    Case("StableDiffusionXLPAGPipeline", xl, lambda w: told(w, height=16, width=16, pag_scale=3.0)),
    Case(
        "StableDiffusionXLControlNetPipeline", lambda: xl() | {"controlnet": xl_controlnet()}, led
    ),
    Case("StableDiffusion3Pipeline", sd3),
    Case("StableDiffusion3Img2ImgPipeline", sd3, lambda w: drawn(w) | {"height": 16, "width": 16}),
    Case(
        "StableDiffusion3InpaintPipeline",
        lambda: (
            sd3()
            | {
                "transformer": joint.tiny_sd3(in_channels=16, out_channels=16),
                "vae": tiny.tiny_vae(16, shift_factor=0.1),
            }
        ),
        painted,
    ),
    Case(
        "StableDiffusion3PAGPipeline",
        lambda: bare_sd3() | {"pag_applied_layers": "transformer_blocks.1"},
        lambda w: told(w, pag_scale=3.0),
    ),
    Case("FluxPipeline", flux(), twice),
    Case("FluxImg2ImgPipeline", flux(), lambda w: twice(w, image=picture(), strength=1.0)),
    Case(
        "FluxInpaintPipeline",
        flux(),
        lambda w: twice(w, image=picture(), mask_image=MASK, strength=1.0),
    ),
    Case(
        "FluxKontextPipeline",
        flux(),
        lambda w: twice(w, image=picture(), _auto_resize=False, max_area=256),
    ),
    Case(
        "FluxControlNetPipeline",
        flux(controlnet=flux_controlnet),
        lambda w: twice(w, control_image=picture(), controlnet_conditioning_scale=0.5),
    ),
    Case(
        "FluxControlPipeline",
        flux(transformer=lambda: joint.tiny_flux(in_channels=32, out_channels=16)),
        lambda w: once(w, control_image=picture()),
    ),
    Case(
        "FluxFillPipeline",
        flux(transformer=lambda: joint.tiny_flux(in_channels=48, out_channels=16)),
        lambda w: once(w, image=picture(), mask_image=MASK),
    ),
    Case(
        "LTXPipeline",
        ltx,
        lambda w: embedded(w, 16, masks=True, height=32, width=32, num_frames=9),
    ),
    Case(
        "ChromaPipeline",
        chroma,
        lambda w: embedded(w, 16, height=16, width=16) | {name: torch.ones(1, 5) for name in MASKS},
    ),
    Case(
        "PixArtSigmaPipeline",
        pixart,
        lambda w: (
            embedded(w, 16, masks=True, height=16, width=16, use_resolution_binning=False)
            | {"negative_prompt": None}
        ),
    ),
    Case("AuraFlowPipeline", aura, lambda w: embedded(w, 16, masks=True, height=16, width=16)),
    Case("IFPipeline", deepfloyd, lambda w: embedded(w, 16) | {"output_type": "pt"}),
    Case("ZImagePipeline", zimage, listed),
]
