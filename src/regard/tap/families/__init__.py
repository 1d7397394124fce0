"""Model families: which class names have a known layout, and in which module it is.

A literal table; a family is imported when a model of it is first tapped. ``regard.tap.layout_for``
adds classes from outside.
"""

FAMILIES: dict[str, str] = {
    "UNet2DConditionModel": "regard.tap.families.unet",
    "UNet2DModel": "regard.tap.families.unet",
    "SD3Transformer2DModel": "regard.tap.families.sd3",
    "FluxTransformer2DModel": "regard.tap.families.flux",
    "ViTModel": "regard.tap.families.vit",
    "ViTForImageClassification": "regard.tap.families.vit",
    "DeiTModel": "regard.tap.families.vit",
    "DeiTForImageClassification": "regard.tap.families.vit",
    "Dinov2Model": "regard.tap.families.vit",
    "Dinov2ForImageClassification": "regard.tap.families.vit",
    "Dinov2WithRegistersModel": "regard.tap.families.vit",
    "Dinov2WithRegistersForImageClassification": "regard.tap.families.vit",
    "DINOv3ViTModel": "regard.tap.families.vit",
    "CLIPModel": "regard.tap.families.vit",
    "CLIPVisionModel": "regard.tap.families.vit",
    "CLIPVisionModelWithProjection": "regard.tap.families.vit",
    "CLIPForImageClassification": "regard.tap.families.vit",
    "CLIPTextModel": "regard.tap.families.vit",
    "CLIPTextModelWithProjection": "regard.tap.families.vit",
    "SiglipModel": "regard.tap.families.vit",
    "SiglipVisionModel": "regard.tap.families.vit",
    "SiglipForImageClassification": "regard.tap.families.vit",
    "SiglipTextModel": "regard.tap.families.vit",
}
