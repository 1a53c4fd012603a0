from datetime import UTC, datetime

from alerts.charts import spend_chart
from console.render import Renderer

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
SPEC = spend_chart([(NOON, "search", 4.0)], width=300, height=100)


def test_the_same_spec_is_drawn_once():
    renderer = Renderer()
    assert renderer.svg(SPEC) is renderer.svg(dict(SPEC))
    assert renderer.svg(SPEC) != renderer.svg(SPEC, "dark")


def test_it_remembers_no_more_than_it_may():
    renderer = Renderer(capacity=1)
    first = renderer.svg(SPEC)
    renderer.svg(SPEC, "dark")
    assert renderer.svg(SPEC) is not first
    assert renderer.svg(SPEC) == first


def test_a_message_gets_a_png():
    assert Renderer().png(SPEC).startswith(b"\x89PNG\r\n")
