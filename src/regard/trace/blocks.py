"""Large arrays in parts: contiguous blocks along their leading axes."""

import math
from collections.abc import Iterator, Sequence

Block = tuple[slice, ...]


def block_shape(shape: Sequence[int], most: int) -> tuple[int, ...]:
    """The largest block of at most ``most`` entries that lies contiguously in an array.

    Whole trailing axes, a part of one axis, and single entries of those before it; a row of the
    last axis is never cut. An array that is small enough is one block.

    Example:
        >>> block_shape((3, 4, 10), 20), block_shape((3, 4, 10), 1000)
        ((1, 2, 10), (3, 4, 10))
    """
    found = [max(1, size) for size in shape]
    for axis in range(len(found) - 1):
        rest = math.prod(found[axis + 1 :])
        if rest * found[axis] <= most:
            break
        found[axis] = max(1, most // rest)
    return tuple(found)


def blocks(shape: Sequence[int], most: int) -> Iterator[Block]:
    """The blocks of an array in the order of its memory; end to end they are its bytes.

    Example:
        >>> [tuple(part.start for part in block) for block in blocks((2, 3, 10), 20)]
        [(0, 0, 0), (0, 2, 0), (1, 0, 0), (1, 2, 0)]
    """
    if not shape:
        yield ()
        return
    step, *rest = block_shape(shape, most)
    for start in range(0, shape[0], step):
        for others in blocks(shape[1:], most) if len(shape) > 1 else [()]:
            yield (slice(start, min(start + step, shape[0])), *others)
