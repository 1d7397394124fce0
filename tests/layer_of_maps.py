"""A layer of words from its maps, as tests write them down."""

from typing import Any

import numpy as np
import xarray as xr

from regard.trace import labelled_layer, rows_of_maps


def layer_of_maps(maps: Any, **labels: Any) -> xr.DataArray:
    """Maps over step, head, token, y and x as a layer of a trace."""
    values = np.asarray(maps)
    return labelled_layer(rows_of_maps(values), grid=values.shape[-2:], **labels)
