"""Numbers computed from attention, by the question that they answer.

A measure is a kernel over the last axes of NumPy arrays or tensors, under a wrapper that takes
labelled arrays and sets a unit. `measures` lists them; each is an attribute of this package too, as
`regard.measures.gini`, and is imported when it is first used.
`over_trace` puts several of them into one table of a whole trace. `measure` and `of_rows` make one
of a function of your own; `About` is what it then says of itself, and `READS` what it may take.
"""

from typing import TYPE_CHECKING, Any

from regard.measures.named import measures
from regard.registry import hand_out

if TYPE_CHECKING:
    from regard.measures.about import READS, About, measure
    from regard.measures.rows import of_rows
    from regard.measures.table import over_trace

    def __getattr__(name: str) -> Any: ...  # each of the table


__all__ = ["READS", "About", "measure", "measures", "of_rows", "over_trace"]

hand_out(
    __name__,
    {
        "READS": "regard.measures.about:READS",
        "About": "regard.measures.about:About",
        "measure": "regard.measures.about:measure",
        "of_rows": "regard.measures.rows:of_rows",
        "over_trace": "regard.measures.table:over_trace",
    },
    measures,
)
