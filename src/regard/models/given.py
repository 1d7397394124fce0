"""What a pipeline itself gives its text encoders for a prompt: token ids, seen before they run."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any


class _Seen(Exception):
    """Ends a run of a pipeline as soon as every text encoder that is asked about was called."""


def ids_given(pipeline: Any, prompt: str, encoders: Sequence[str]) -> dict[str, list[int]] | None:
    """The token ids of a prompt, padding included, as each text encoder gets them.

    The pipeline runs up to the last of these encoders, which is not run itself; the denoiser never
    is.

    Args:
        pipeline: A diffusers pipeline.
        prompt: What to encode.
        encoders: Names of its text encoders, such as ``text_encoder_2``.

    Returns:
        The ids of each; None if the pipeline cannot be run on a prompt alone, or its encoders are
        given something else than ids.
    """
    found: dict[str, list[int]] = {}

    def note(name: str, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        ids = args[0] if args else kwargs.get("input_ids")
        if name not in found and getattr(ids, "ndim", 0) == 2:
            found[name] = [int(each) for each in ids[0].tolist()]
        if len(found) == len(encoders):
            raise _Seen

    with ExitStack() as opened:
        for name in encoders:
            module = getattr(pipeline, name)
            hook = module.register_forward_pre_hook(partial(note, name), with_kwargs=True)
            opened.callback(hook.remove)
        try:
            pipeline(prompt=[prompt], num_inference_steps=1, guidance_scale=1.0)
        except _Seen:
            return found
        except Exception:  # it needs more than a prompt, and says so itself when it is run
            return None
    return None
