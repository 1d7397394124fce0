"""Edits that have a name: functions that return a callable for ``Tap(edit=[...])``."""

from collections.abc import Sequence

from regard.errors import ArgumentError
from regard.tap.call import AttentionCall, Edit


def hide(tokens: Sequence[int], *, sample: int | None = None, condition: str = "cond") -> Edit:
    """Mask text tokens for the image; the remaining weights of each row still sum to 1.

    Args:
        tokens: Indices into the text, as the text encoder counts its tokens.
        sample: Which image of the batch; by default all. Several such edits mask different tokens
            for different images of one batch.
        condition: Which rows of the batch: 'cond' or 'uncond'.

    Returns:
        An edit of the layers where image queries have text keys; it ignores the others.

    Raises:
        ArgumentError: no tokens, or a negative one; while running, a token or sample that is not
            there.

    Example:
        >>> edit = hide([2, 3], sample=0)
        >>> hide([])
        Traceback (most recent call last):
            ...
        regard.errors.ArgumentError: hide: tokens are [] and must be indices >= 0, at least one.

    Source:
        Nothing but ``AttentionCall.mask_keys`` on the text; scores of -inf before the softmax.
    """
    if not tokens or min(tokens) < 0:
        raise ArgumentError(
            f"hide: tokens are {list(tokens)} and must be indices >= 0, at least one."
        )

    def edit(call: AttentionCall) -> None:
        layout = call.known_layout("hide")
        rows = _rows(call, sample, condition)
        if rows.start == rows.stop or not layout.has(query="image", key="text"):
            return
        text = layout.keys_of("text")
        if max(tokens) >= len(text):
            raise ArgumentError(
                f"hide: token {max(tokens)} is not in the text of {call.layer}, which has "
                f"{len(text)} tokens."
            )
        call.mask_keys([text.start + token for token in tokens], batch=rows)

    return edit


def _rows(call: AttentionCall, sample: int | None, condition: str) -> slice:
    rows = call.rows_of(condition)
    if sample is None or rows.start == rows.stop:
        return rows
    if not 0 <= sample < rows.stop - rows.start:
        raise ArgumentError(
            f"hide: sample is {sample}, and the batch has {rows.stop - rows.start} "
            f"'{condition}' rows."
        )
    return slice(rows.start + sample, rows.start + sample + 1)
