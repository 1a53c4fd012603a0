"""Which transport carries the messages: our own, where it was tested, else Faust's, which is slower and as correct."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

SLICES = "slices"  # the scheme of a broker's URL, and the name of the entry point
STOCK = "kafka"
IMPLEMENTATION = "streams.transport:SliceTransport"

TESTED: Mapping[str, str] = {"faust": "0.15.3", "aiokafka": "0.14.0"}
"""The versions on whose insides our transport relies, and with which it was tested."""


class Transport(Struct, frozen=True):
    """The transport that is used, and why it is not ours."""

    scheme: str
    reason: str | None = None

    @property
    def sliced(self) -> bool:
        """Whether slices of a partition arrive as one message."""
        return self.scheme == SLICES


def choose(wanted: Literal["slices", "stock"], found: Mapping[str, str]) -> Transport:
    """Ours if it is wanted and all versions found are the tested ones."""
    if wanted == "stock":
        return Transport(STOCK, "the setting asks for the stock transport")
    for package, version in TESTED.items():
        if found.get(package) != version:
            return Transport(
                STOCK,
                f"{package} is {found.get(package)}, the transport of slices was tested with {version}; "
                "events are read more slowly, install the tested version to change that",
            )
    return Transport(SLICES)
