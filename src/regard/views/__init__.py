"""Pictures of attention: functions from labelled arrays to figures and pages.

`overlay` draws one word's map over an image, `contact_sheet` lays many images out, `page` makes a
trace into one HTML file to explore. None of them computes a measure, and none opens a window.
"""

from regard.views.overlay import overlay
from regard.views.page import page
from regard.views.sheet import contact_sheet

__all__ = ["contact_sheet", "overlay", "page"]
