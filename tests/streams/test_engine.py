"""Our transport is used with the versions that it was tested with, and with no others."""

import aiokafka
import faust
import pytest

from streams.engine import SLICES, STOCK, TESTED, Transport, choose


def test_what_is_installed_is_what_was_tested() -> None:
    assert {"faust": faust.__version__, "aiokafka": aiokafka.__version__} == TESTED
    assert choose("slices", TESTED) == Transport(SLICES)


def test_the_setting_takes_the_stock_transport() -> None:
    assert choose("stock", TESTED) == Transport(STOCK, "the setting asks for the stock transport")


@pytest.mark.parametrize("package", ["faust", "aiokafka"])
def test_another_version_takes_the_stock_transport_and_says_so(package: str) -> None:
    assert choose("slices", {**TESTED, package: "9.9"}) == Transport(
        STOCK,
        f"{package} is 9.9, the transport of slices was tested with {TESTED[package]}; "
        "events are read more slowly, install the tested version to change that",
    )
