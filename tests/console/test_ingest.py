import gzip
import json

import pytest

from streams.intake import IntakeDown, IntakeFull
from tests.console.doors import BEARER, INGEST_TOKEN, House

EVENTS = "/api/v1/events"
JSON = {**BEARER, "content-type": "application/json"}
LINES = {**BEARER, "content-type": "application/x-ndjson"}


class Log:
    """Keeps what it is given, or raises what it is told to."""

    def __init__(self, fault: Exception | None = None) -> None:
        self.values: list[bytes] = []
        self.fault = fault

    def __call__(self, values):
        if self.fault is not None:
            raise self.fault
        self.values += values


def post(body: bytes, headers=JSON, log: Log | None = None, **more):
    kept = log or Log()
    client = House(append=kept, **more).stranger()
    return client.post(EVENTS, content=body, headers=headers), kept.values


def test_an_event_is_kept_as_it_came():
    answer, kept = post(b'{"type":"gpu_sample", "any": [1]}')
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1})
    assert kept == [b'{"type":"gpu_sample", "any": [1]}']


def test_an_array_is_one_envelope():
    answer, kept = post(b'[{"a":1},{"a":2}]')
    assert (answer.json(), kept) == ({"accepted": 2}, [b'[{"a":1},{"a":2}]'])


def test_an_empty_array_is_nothing_to_keep():
    answer, kept = post(b"[]")
    assert (answer.status_code, answer.json(), kept) == (202, {"accepted": 0}, [])


def test_lines_are_kept_one_by_one_and_a_bad_one_is_judged_later():
    answer, kept = post(b'{"a":1}\r\n\n{"a":\n{"a":3}', LINES)
    assert (answer.json(), kept) == ({"accepted": 3}, [b'{"a":1}', b'{"a":', b'{"a":3}'])


def test_gzip_is_unpacked_all_its_members():
    body = gzip.compress(b'{"a":1}\n') + gzip.compress(b'{"a":2}\n')
    answer, kept = post(body, {**LINES, "content-encoding": "gzip"})
    assert (answer.json(), kept) == ({"accepted": 2}, [b'{"a":1}', b'{"a":2}'])


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[{]", b"7", b'"x"', b"\xff\xfe{}", b"[" * 100_000, b'{"a":1}{"a":2}', b'[1,{"a":1}', b"NaN"]
)
def test_a_body_that_is_no_document_is_refused_as_a_whole(body):
    answer, kept = post(body)
    assert (answer.status_code, kept) == (400, [])


@pytest.mark.parametrize("body", [b"", b"\n\n", b"hello\nworld"])
def test_lines_without_an_event_are_refused(body):
    answer, kept = post(body, LINES)
    assert (answer.status_code, kept) == (400, [])


def test_gzip_of_thousands_of_empty_members_is_refused():
    answer, kept = post(gzip.compress(b"") * 5_000, {**LINES, "content-encoding": "gzip"})

    assert (answer.status_code, kept) == (400, [])
    assert "gzip members" in answer.json()["error"]


@pytest.mark.parametrize("body", [b"not gzip", gzip.compress(b'{"a":1}', mtime=0)[:-9]])
def test_broken_gzip_is_refused(body):
    answer, kept = post(body, {**JSON, "content-encoding": "gzip"})
    assert (answer.status_code, kept) == (400, [])


def test_a_large_body_is_refused_by_its_length_and_by_its_bytes():
    body = json.dumps({"a": "x" * 1000}).encode()
    assert post(body, body_bytes=1000)[0].status_code == 413

    def in_chunks():
        yield body[:600]
        yield body[600:]

    log = Log()
    client = House(append=log, body_bytes=1000).stranger()
    assert client.post(EVENTS, content=in_chunks(), headers=JSON).status_code == 413
    assert log.values == []
    assert post(body, body_bytes=len(body))[0].status_code == 202


def test_a_small_body_that_unpacks_to_a_large_one_is_refused():
    bomb = gzip.compress(b"0" * 50_000_000)
    answer, kept = post(bomb, {**JSON, "content-encoding": "gzip"})
    assert (answer.status_code, kept) == (413, [])


@pytest.mark.parametrize(
    "more",
    [{"content-type": "text/plain"}, {"content-type": ""}, {"content-encoding": "br"}, {"content-encoding": "zstd"}],
)
def test_what_is_not_understood_is_named(more):
    answer, kept = post(b"{}", {**JSON, **more})
    assert (answer.status_code, kept) == (415, [])


@pytest.mark.parametrize("token", ["", "Bearer wrong", "Basic abc", f"bearer{INGEST_TOKEN}"])
def test_events_need_a_token(token):
    answer, kept = post(b"{}", {"content-type": "application/json", "authorization": token})
    assert (answer.status_code, kept) == (401, [])
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_session_is_not_enough_to_deliver_events():
    log = Log()
    client = House(append=log).browser()
    answer = client.post(EVENTS, content=b"{}", headers={"content-type": "application/json"})
    assert (answer.status_code, log.values) == (401, [])


def test_the_events_token_is_enough_under_any_host():
    headers = {"content-type": "application/json", "authorization": f"Bearer {INGEST_TOKEN}", "host": "emberwatch:8787"}
    assert post(b"{}", headers)[0].status_code == 202


def test_with_auth_off_programs_may_deliver_and_foreign_pages_may_not():
    plain = {"content-type": "application/json"}
    assert post(b"{}", plain, token=None)[0].status_code == 202
    assert post(b"{}", {**plain, "origin": "http://evil.example"}, token=None)[0].status_code == 403


@pytest.mark.parametrize(
    ("fault", "status", "wait"),
    [
        (IntakeFull("the queue is full", 7), 429, "7"),
        (IntakeDown("the log can't be reached", 30), 503, "30"),
        (IntakeDown("the log can't be reached", 0), 503, "1"),
    ],
)
def test_a_door_that_can_not_keep_says_when_to_come_again(fault, status, wait):
    answer, _ = post(b"{}", log=Log(fault))
    assert (answer.status_code, answer.headers["retry-after"]) == (status, wait)
    assert answer.json() == {"error": str(fault)}


def test_reading_the_door_is_no_way_in():
    client = House(append=Log()).stranger()
    assert client.get(EVENTS, headers=BEARER).status_code == 405
