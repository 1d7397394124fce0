import json

import numpy as np
import pytest
import torch
from PIL import Image

import visions
from regard.errors import ArgumentError, DataError
from regard.models import Vision, fingerprint, library_model, load, name_of, vision_of
from tiny import VISION
from visions import LABELS, NAMES, picture, tiny_vision, vision_folder


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_of_any_vision_transformer_opens_ready_for_pictures(name, tmp_path):
    model = load(vision_folder(tmp_path, name))
    assert isinstance(model, Vision)
    assert type(model.model).__name__ == name
    assert not model.model.training
    assert not any(weight.requires_grad for weight in model.model.parameters())
    assert model.grid() == (3, 3)
    assert model.labels == (tuple(LABELS) if name.endswith("ForImageClassification") else ())
    assert (name_of(model), fingerprint(model)) == (str(tmp_path), fingerprint(model.model))
    shape = model.forward(model.pixels([picture(), picture(seed=1)]))[0].shape
    assert shape[0] == 2


@pytest.mark.parametrize("name", NAMES)
def test_other_sizes_go_through_the_library_and_differ_in_rows_and_columns(name, tmp_path):
    model = load(vision_folder(tmp_path, name))
    pixels = model.pixels([picture()], size=(16, 40))
    assert pixels.shape == (1, 3, 16, 40)
    assert model.grid((16, 40)) == (2, 5)
    calls = []
    from regard.tap import Tap

    with torch.no_grad(), Tap(model.model, observe=[calls.append]):
        model.forward(pixels)
    assert calls[0].layout.keys_of("image").grid == (2, 5)


def test_logits_are_those_of_the_library_and_can_be_differentiated(tmp_path):
    model = load(vision_folder(tmp_path))
    pixels = model.pixels([picture()]).requires_grad_()
    logits = model.logits(pixels)
    theirs = model.model(pixel_values=pixels).logits
    assert torch.equal(logits, theirs)
    logits[0, 0].backward()
    assert pixels.grad.abs().sum() > 0


def test_positions_on_another_grid_are_those_that_the_library_interpolates(tmp_path):
    model = load(vision_folder(tmp_path))
    pixels = model.pixels([picture()], size=(32, 32))
    theirs = model.model(pixel_values=pixels, interpolate_pos_encoding=True).logits
    assert torch.equal(model.logits(pixels), theirs)
    assert model.interpolation((32, 32)) == {
        "from": [3, 3],
        "to": [4, 4],
        "mode": "bicubic",
        "by": "transformers, ViTForImageClassification",
    }
    assert not model.interpolated()
    assert model.interpolation() == {}


def test_rotary_positions_are_never_interpolated():
    model = vision_of(tiny_vision("DINOv3ViTModel"))
    assert not model.interpolated((32, 16))


def test_a_grid_that_the_library_would_interpolate_wrongly_is_refused():
    # transformers takes the root of the number of positions: 3 x 12 would be read as 6 x 6.
    model = vision_of(tiny_vision("ViTForImageClassification", image_size=[24, 96]))
    assert model.logits(torch.zeros(1, 3, 24, 96)).shape == (1, 3)
    with pytest.raises(ArgumentError, match="from square grids only.*Use 24x96 pixels"):
        model.logits(torch.zeros(1, 3, 48, 48))


def test_a_size_that_is_no_multiple_of_the_patch_is_told_the_nearest():
    model = vision_of(tiny_vision("ViTModel"))
    with pytest.raises(ArgumentError, match="the size is 30x5 .* 8x8 pixels. The nearest is 32x8"):
        model.grid((30, 5))


PROCESSORS = {
    "ViTImageProcessorPil": {"size": {"height": 24, "width": 24}},
    "SiglipImageProcessorPil": {"size": {"height": 24, "width": 24}, "resample": 3},
    "CLIPImageProcessorPil": {"size": {"shortest_edge": 24}, "crop_size": 24},
    "BitImageProcessorPil": {
        "size": {"shortest_edge": 29},
        "crop_size": {"height": 24, "width": 24},
        "image_mean": [0.485, 0.456, 0.406],
        "image_std": [0.229, 0.224, 0.225],
    },
}


@pytest.mark.parametrize("shape", [(30, 44), (50, 24), (24, 24), (31, 29)])
@pytest.mark.parametrize("name", PROCESSORS)
def test_pictures_are_prepared_as_the_processors_of_the_library_do(name, shape, tmp_path):
    import transformers

    theirs = getattr(transformers, name)(**PROCESSORS[name])
    vision_folder(tmp_path, processor={})
    theirs.save_pretrained(tmp_path)
    shown = picture(*shape)
    expected = theirs(shown, return_tensors="pt").pixel_values
    torch.testing.assert_close(load(tmp_path).pixels([shown]), expected, atol=1e-5, rtol=0)


def test_files_of_old_processors_are_understood(tmp_path):
    old = {"size": 24, "image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_center_crop": True}
    cropped = load(vision_folder(tmp_path / "a", processor={**old, "crop_size": 16}))
    assert (cropped.size, cropped.preparation.shortest) == ((16, 16), 24)
    whole = load(vision_folder(tmp_path / "b", processor={**old, "do_center_crop": False}))
    assert (whole.size, whole.preparation.shortest) == ((24, 24), None)


def test_pixels_by_hand(tmp_path):
    # 255 is 1 and 0 is 0 before normalising: (1 - 0.5) / 0.25 = 2, (0 - 0.5) / 0.25 = -2.
    model = load(vision_folder(tmp_path))
    half = np.zeros((24, 24, 3), np.uint8)
    half[:, 12:] = 255
    pixels = model.pixels([half])
    assert pixels[..., :12].unique().tolist() == [-2.0]
    assert pixels[..., 12:].unique().tolist() == [2.0]


def test_a_model_of_grey_pictures_takes_coloured_ones_as_grey(small):
    model = load("fashion-vit")
    grey = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    coloured = np.repeat(grey[:, :, None], 3, 2)
    assert torch.equal(model.pixels([grey]), model.pixels([coloured]))
    assert model.pixels([grey]).shape == (1, 1, 28, 28)
    np.testing.assert_array_equal(np.asarray(model.seen(coloured)), grey)
    assert (model.channels, model.mean, model.std) == (1, (0.286,), (0.353,))


def test_what_is_seen_is_the_middle_where_the_processor_cuts(tmp_path):
    wide = Image.fromarray(np.tile(np.arange(72, dtype=np.uint8), (24, 1)))
    said = {"size": {"shortest_edge": 24}, "crop_size": 24, "do_center_crop": True}
    said |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    seen = load(vision_folder(tmp_path, processor=said)).seen(wide)
    assert np.asarray(seen)[0, :, 0].tolist() == list(range(24, 48))


def test_a_folder_without_processor_cannot_prepare_pictures(tmp_path):
    model = load(vision_folder(tmp_path, processor={}))
    assert model.logits(torch.zeros(1, 3, 24, 24)).shape == (1, 3)
    with pytest.raises(
        DataError, match="no preprocessor_config.json, so it is unknown.*give it with processor="
    ):
        model.pixels([picture()])


@pytest.mark.parametrize(
    "said",
    [
        {"size": {"height": 24, "width": 24}},
        {"image_mean": [0.5], "image_std": [0.5], "rescale_factor": 1.0},
        {"image_mean": [0.5], "image_std": [0.5], "do_rescale": False},
        [],
    ],
)
def test_a_processor_that_is_not_understood_is_one_clear_line(said, tmp_path):
    vision_folder(tmp_path)
    import json

    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    with pytest.raises(DataError, match=r"preprocessor_config.json is not understood \("):
        load(tmp_path)


def test_an_encoder_names_no_classes(tmp_path):
    model = load(vision_folder(tmp_path, "Dinov2Model"))
    with pytest.raises(ArgumentError, match="Dinov2Model names no classes. Use Vision.forward"):
        model.logits(torch.zeros(1, 3, 24, 24))
    assert repr(model) == f"Vision({tmp_path}: an encoder, 3x3 patches of 8x8 pixels)"


def test_the_vision_tower_of_a_two_tower_model_can_look_at_pictures(small):
    both = load("openmoji-clip")
    assert type(both).__name__ == "CLIPModel"
    tower = vision_of(both)
    assert tower.name == vision_of("openmoji-clip").name == "openmoji-clip"
    assert tower.model is both.vision_model
    from regard.models.detector import _prepared

    shown = picture(64, 64)
    torch.testing.assert_close(
        tower.pixels([shown]), _prepared([shown], "openmoji-clip"), atol=1e-6, rtol=0
    )


def test_what_takes_no_pictures_in_patches_is_refused(small):
    with pytest.raises(ArgumentError, match="AutoencoderKL takes no images in patches"):
        vision_of("openmoji-autoencoder")
    with pytest.raises(ArgumentError, match="Segformer.* takes no images in patches"):
        vision_of(library_model("openmoji-segmenter"))


def test_a_vision_is_left_as_it_is():
    model = vision_of(visions.tiny_vision("ViTModel"))
    assert vision_of(model) is model


def test_the_processor_that_is_saved_with_a_tokenizer_is_read(tmp_path):
    import transformers

    theirs = transformers.CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size=24)
    vision_folder(tmp_path, "CLIPVisionModel", processor={})
    said = {"image_processor": theirs.to_dict(), "processor_class": "CLIPProcessor"}
    (tmp_path / "processor_config.json").write_text(json.dumps(said, default=str))
    shown = picture(30, 44)
    expected = theirs(shown, return_tensors="pt").pixel_values
    torch.testing.assert_close(load(tmp_path).pixels([shown]), expected, atol=1e-5, rtol=0)


def test_a_module_is_prepared_by_the_processor_that_comes_with_it():
    import transformers

    theirs = transformers.CLIPImageProcessorPil(size={"shortest_edge": 24}, crop_size=24)
    model = vision_of(tiny_vision("CLIPVisionModel"), processor=theirs)
    shown = picture(30, 44)
    expected = theirs(shown, return_tensors="pt").pixel_values
    torch.testing.assert_close(model.pixels([shown]), expected, atol=1e-5, rtol=0)
    with pytest.raises(DataError, match=r"the processor \(int\) is not understood"):
        vision_of(tiny_vision("CLIPVisionModel"), processor=3)


@pytest.mark.parametrize(
    "name", ["ViTModel", "SiglipVisionModel", "Dinov2Model", "CLIPVisionModel"]
)
def test_pixels_of_no_whole_patch_are_left_out_as_the_library_does(name, tmp_path):
    # 28 / 8 = 3 rest 4, as 384 / 14 = 27 rest 6 in SigLIP's largest checkpoint.
    said = {"size": {"height": 28, "width": 28}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    vision_folder(tmp_path, name, processor=said, image_size=28)
    model = load(tmp_path)
    assert (model.size, model.grid(), model.covered()) == ((28, 28), (3, 3), (24, 24))
    pixels = model.pixels([picture()])
    ours = model.forward(pixels).last_hidden_state
    assert torch.equal(ours, model.model(pixel_values=pixels).last_hidden_state)
    beyond = pixels.clone()
    beyond[..., 24:, :] = beyond[..., 24:] = 9.0
    assert torch.equal(model.forward(beyond).last_hidden_state, ours)
    with pytest.raises(ArgumentError, match="The nearest is 32x32"):
        model.grid((30, 30))
    assert model.forward(model.pixels([picture()], (32, 32))).last_hidden_state.isfinite().all()


def test_a_model_of_videos_is_told_so():
    import transformers

    config = transformers.VideoMAEConfig(**{**VISION, "num_frames": 2})
    with pytest.raises(ArgumentError, match="VideoMAEModel takes videos of 2 frames"):
        vision_of(transformers.VideoMAEModel(config))
