from datetime import UTC, datetime, timedelta

import pytest
from msgspec import json

from console.demo.fleet import HISTORY, DemoFleet

NOTEBOOK = "research/vision/notebook-ana"


@pytest.mark.parametrize("second", [0, 30, 1_111, 2_345])
def test_the_past_has_no_hole(second: int):
    began_at = datetime(2026, 11, 24, 22, tzinfo=UTC) + timedelta(seconds=second)

    spans = [
        (datetime.fromisoformat(event["at"]), event["span_s"])
        for raw in DemoFleet(1, began_at).events(began_at - HISTORY, began_at)
        for event in json.decode(raw)
        if event["workload"] == NOTEBOOK and event["device"].endswith("-00")
    ]

    ends = [at for at, _ in spans]
    starts = [at - timedelta(seconds=span_s) for at, span_s in spans]
    assert starts[1:] == ends[:-1]
