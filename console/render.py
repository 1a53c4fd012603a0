"""Charts drawn: a Vega-Lite spec becomes SVG for a page or PNG for a message, offline and without a browser."""

import json
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from threading import Lock
from typing import Literal

import vl_convert

from alerts.charts import Spec

Theme = Literal["light", "dark"]

_FONT = "Liberation Sans, Arial, sans-serif"


def _theme(ink: str, grid: str, background: str) -> Spec:
    label = {"labelColor": ink, "titleColor": ink, "labelFont": _FONT, "titleFont": _FONT}
    return {
        "background": background,
        "font": _FONT,
        "title": {"color": ink, "font": _FONT, "fontWeight": 600},
        "axis": {**label, "gridColor": grid, "domainColor": grid, "tickColor": grid, "titleFontWeight": "normal"},
        "legend": {**label, "labelFontSize": 11},
        "text": {"color": ink, "font": _FONT, "fontSize": 11},
        "view": {"stroke": None},
    }


THEMES: dict[Theme, Spec] = {
    "light": _theme("#333b45", "#dde1e6", "#ffffff"),
    "dark": _theme("#c9d1d9", "#343c46", "#171c23"),
}


class Renderer:
    """Draws charts, one at a time, and remembers the `capacity` latest; the same spec is drawn once."""

    def __init__(self, capacity: int = 256) -> None:
        """A renderer that remembers `capacity` drawings."""
        self._capacity = capacity
        self._drawn: OrderedDict[bytes, bytes] = OrderedDict()
        self._lock = Lock()

    def svg(self, spec: Spec, theme: Theme = "light") -> bytes:
        """The chart as SVG in UTF-8. Raises ValueError where the spec is not a chart."""
        return self._draw(
            spec,
            f"svg-{theme}",
            lambda: vl_convert.vegalite_to_svg(spec, config=THEMES[theme], allowed_base_urls=[]).encode(),
        )

    def png(self, spec: Spec) -> bytes:
        """The chart as PNG at twice its size, on white. Raises ValueError where the spec is not a chart."""
        return self._draw(
            spec,
            "png",
            lambda: vl_convert.vegalite_to_png(spec, scale=2.0, config=THEMES["light"], allowed_base_urls=[]),
        )

    def _draw(self, spec: Spec, form: str, make: Callable[[], bytes]) -> bytes:
        key = blake2b(json.dumps(spec, sort_keys=True).encode(), digest_size=16, person=form.encode()).digest()
        with self._lock:
            if key in self._drawn:
                self._drawn.move_to_end(key)
                return self._drawn[key]
            drawn = make()
            self._drawn[key] = drawn
            if len(self._drawn) > self._capacity:
                self._drawn.popitem(last=False)
            return drawn
