"""Views of attention: functions from labelled arrays to figures and pages.

`overlay` lays one word's map over an image, `contact_sheet` lays many images out, `page` makes a
trace into one HTML file to explore. `mosaic` sets many maps beside their images, `differences`
maps before and after a change; `curves`, `dots`, `scatter` and `matrix` plot numbers with their
intervals; `report` makes a study into one HTML file. None of them computes a measure, and none
opens a window.
"""

from typing import TYPE_CHECKING

from regard.registry import hand_out

if TYPE_CHECKING:
    from regard.views.curves import curves, dots, matrix, scatter
    from regard.views.difference import differences
    from regard.views.mosaic import mosaic
    from regard.views.overlay import overlay
    from regard.views.page import page
    from regard.views.report import Plate, Section, report
    from regard.views.sheet import contact_sheet

__all__ = [
    "Plate",
    "Section",
    "contact_sheet",
    "curves",
    "differences",
    "dots",
    "matrix",
    "mosaic",
    "overlay",
    "page",
    "report",
    "scatter",
]

hand_out(
    __name__,
    {
        "Plate": "regard.views.report:Plate",
        "Section": "regard.views.report:Section",
        "contact_sheet": "regard.views.sheet:contact_sheet",
        "curves": "regard.views.curves:curves",
        "differences": "regard.views.difference:differences",
        "dots": "regard.views.curves:dots",
        "matrix": "regard.views.curves:matrix",
        "mosaic": "regard.views.mosaic:mosaic",
        "overlay": "regard.views.overlay:overlay",
        "page": "regard.views.page:page",
        "report": "regard.views.report:report",
        "scatter": "regard.views.curves:scatter",
    },
)
