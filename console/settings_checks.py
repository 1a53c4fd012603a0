"""What no section can tell alone: that names which one section uses are given in another.

Looks at the file as written, so that a fault in one section does not hide those between sections.
"""

from typing import Any

from console.settings_money import names
from console.settings_reporter import Reporter
from console.settings_types import shown

DEFAULT_CHANNEL = "recorder"


def check_names(root: dict[str, Any], reporter: Reporter) -> None:
    """Report names that are given twice, and channels that are told but not known."""
    _check_unique("channels", names(root.get("channels")), reporter)
    _check_unique("budgets", names(root.get("budgets")), reporter)
    known = _channel_names(root)
    if len(known) > 1 and "default_route" not in root:
        reporter.add_at(
            ("default_route",),
            "several channels, and none named for incidents that no route matches",
            "default_route, a list of channel names",
        )
    for path, name in _uses(root):
        if name not in known:
            reporter.add_at(
                path, f"{shown(name)}, a channel that is not configured", f"one of {', '.join(known)}", known, name
            )


def _channel_names(root: dict[str, Any]) -> list[str]:
    rows = root.get("channels")
    if rows is None:
        return [DEFAULT_CHANNEL]
    found: dict[str, None] = {}
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict):
            name = row.get("name", "terminal" if row.get("type") == "terminal" else None)
            if isinstance(name, str):
                found[name] = None
    return list(found)


def _uses(root: dict[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
    """Every place where a channel is named, and the name."""
    places: list[tuple[tuple[str | int, ...], Any]] = [(("default_route",), root.get("default_route"))]
    routes = root.get("routes")
    for index, route in enumerate(routes if isinstance(routes, list) else ()):
        if isinstance(route, dict):
            places.append((("routes", index, "to"), route.get("to")))
    if isinstance(digest := root.get("digest"), dict):
        places.append((("digest", "to"), digest.get("to")))
    if isinstance(speaking := root.get("speaking"), dict):
        places.append((("speaking", "escalate_to"), speaking.get("escalate_to")))
    return [
        ((*path, index), name)
        for path, row in places
        for index, name in enumerate(row if isinstance(row, list) else ())
        if isinstance(name, str)
    ]


def _check_unique(section: str, given: list[Any], reporter: Reporter) -> None:
    for index, name in enumerate(given):
        if isinstance(name, str) and name in given[:index]:
            reporter.add_at(
                (section, index, "name"), f"{shown(name)}, a name that is given already", "a name of its own"
            )
