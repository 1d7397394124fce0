"""Where a model's weights lie, as what numbers, and which of its files they are."""

import os
from dataclasses import dataclass
from typing import Any

import torch

from regard.arguments import shown
from regard.errors import ArgumentError

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Placement:
    """Where weights lie, and as what numbers.

    Attributes:
        device: As torch names it.
        dtype: Of all floating-point weights.
        variant: Which of the files of weights to read, such as ``fp16``; None for the usual ones.
        config: The folder or name of a pipeline that says what the parts of a single file are.
    """

    device: str = "cpu"
    dtype: torch.dtype = torch.float32
    variant: str | None = None
    config: str | None = None

    @classmethod
    def of(
        cls, device: Any = "auto", dtype: Any = None, variant: Any = None, config: Any = None
    ) -> "Placement":
        """A placement from arguments of `load`.

        Raises:
            ArgumentError: there is no such device here, dtype, or variant; or config is no path.

        Example:
            >>> Placement.of("cpu", "bfloat16").dtype
            torch.bfloat16
        """
        return cls(_device(device), _dtype(dtype), _variant(variant), _config(config))

    def settle(self, network: Any) -> Any:
        """A network for use: in its place, in evaluation mode, without gradients.

        It was read in its dtype; some parts stay in float32 then, as their library wants it.
        """
        return network.to(self.device).eval().requires_grad_(False)


def _device(device: Any) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        named = torch.device(device)
        torch.empty(0, device=named)
    except (RuntimeError, TypeError, AssertionError) as failed:
        raise ArgumentError(
            f"load: device is {shown(device)}, and this machine has no such device. Give 'auto', "
            f"'cpu', or a GPU that is there, such as 'cuda'."
        ) from failed
    if named.type == "meta":
        raise ArgumentError("load: device is 'meta', which holds no values. Give 'cpu' or 'cuda'.")
    return str(named)


def _dtype(dtype: Any) -> torch.dtype:
    if dtype is None:
        return torch.float32
    found = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or found not in DTYPES.values():
        raise ArgumentError(
            f"load: dtype is {shown(dtype)} and must be 'float32', 'float16' or 'bfloat16'."
        )
    return found


def _variant(variant: Any) -> str | None:
    plain = isinstance(variant, str) and variant.replace("_", "").replace("-", "").isalnum()
    if variant is not None and not plain:
        raise ArgumentError(
            f"load: variant is {shown(variant)} and must be a word in the names of the files of "
            f"weights, such as 'fp16' of model.fp16.safetensors."
        )
    return variant


def _config(config: Any) -> str | None:
    if config is not None and not isinstance(config, str | os.PathLike):
        raise ArgumentError(
            f"load: config is {shown(config)} and must be the folder or identifier of a pipeline, "
            f"such as 'stable-diffusion-v1-5/stable-diffusion-v1-5'."
        )
    return None if config is None else str(config)
