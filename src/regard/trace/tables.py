"""Tables of a trace as arrays, and back: its tokens, and what each word counts for."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from regard.trace.words import Token


def frame_of_tokens(tokens: tuple[Token, ...]) -> pd.DataFrame:
    """One row per token."""
    return pd.DataFrame(
        {
            "index": np.array([token.index for token in tokens], dtype=np.int64),
            "text": [token.text for token in tokens],
            "word": [token.word or "" for token in tokens],
            "role": [token.role for token in tokens],
            "position": np.array(
                [-1 if token.position is None else token.position for token in tokens], np.int64
            ),
            "encoder": [token.encoder for token in tokens],
        }
    )


def tokens_of(frame: pd.DataFrame) -> tuple[Token, ...]:
    """The tokens from such a table."""
    return tuple(_token(row) for row in frame.itertuples())


def _token(row: Any) -> Token:
    position = int(row.position)
    return Token(
        int(row[1]),
        str(row.text),
        str(row.word) or None,
        str(row.role),
        None if position < 0 else position,
        str(getattr(row, "encoder", "")),  # older traces have none
    )


def dataset_of(frame: pd.DataFrame) -> xr.Dataset:
    """A table as one array per column; the order of the columns goes into the attrs."""
    units = frame.attrs.get("units", {})
    columns = {
        str(name): ("row", _plain(frame[name]), {"units": units[name]} if name in units else {})
        for name in frame.columns
    }
    return xr.Dataset(columns, attrs={"columns": list(columns)})


def _plain(column: "pd.Series[Any]") -> NDArray[Any]:
    if pd.api.types.is_bool_dtype(column) or pd.api.types.is_numeric_dtype(column):
        return np.asarray(column.to_numpy())
    texts = ["" if pd.isna(value) else str(value) for value in column]
    return np.array(texts, dtype=np.dtypes.StringDType())


def frame_of(dataset: xr.Dataset) -> pd.DataFrame:
    """The table that `dataset_of` was given; numbers and texts as plain Python values."""
    columns = list(dataset.attrs["columns"])
    frame = pd.DataFrame({name: dataset[name].values.tolist() for name in columns})
    units = {name: dataset[name].attrs.get("units") for name in columns}
    frame.attrs["units"] = {name: unit for name, unit in units.items() if unit is not None}
    return frame
