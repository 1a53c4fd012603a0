"""No secret gets into the log, whatever wrote it and in whatever form."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog
from pydantic import SecretStr

from console.logging import configure_logging
from console.redaction import names_a_secret, redact

CANARY = "kanarienvogel"
WRITTEN = [
    f"xoxb-12-34-{CANARY}",
    f"xoxe.xoxp-1-{CANARY}",
    f"xapp-1-{CANARY}",
    f"whsec_{CANARY}==",
    f"posted to https://hooks.slack.com/services/T0/B0/{CANARY} in vain",
    f"postgresql://user:{CANARY}@db/name",
    f"Authorization: Bearer {CANARY}",
    f"{{'authorization': 'Basic {CANARY}'}}",
    f"Authorization: {CANARY}",
    f"bearer {CANARY}",
    f"https://h/?token={CANARY}&x=1",
    f'{{"routing_key": "{CANARY}"}}',
    f"password={CANARY}",
    f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----",
]


@pytest.fixture
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers, root.level
    yield
    root.handlers, root.level = before
    structlog.reset_defaults()


class Leaky:
    def __repr__(self) -> str:
        return f"Leaky(xoxb-{CANARY})"


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("form", ["json", "console"])
def test_canaries_do_not_get_out(form: Literal["json", "console"]):
    out = io.StringIO()
    configure_logging("info", form, out)
    log = structlog.get_logger("emberwatch")

    for text in WRITTEN:
        log.info(text)
        log.info("said", text=text, nested={"list": [text], "bytes": text.encode(), text: 1})
        logging.getLogger("a.library").warning("said %s", text)
        try:
            raise ValueError(text)
        except ValueError:
            log.exception("failed")
            logging.getLogger("a.library").exception("failed")
    log.info("named", token=CANARY, slack_token=CANARY, password=CANARY, headers={"Authorization": CANARY})
    log.info("typed", secret=SecretStr(CANARY), object=Leaky(), value=SecretStr(CANARY))

    assert CANARY not in out.getvalue()
    assert out.getvalue().count("[hidden]") > len(WRITTEN)


@pytest.mark.usefixtures("restored")
def test_an_event_is_one_line_of_json():
    out = io.StringIO()
    configure_logging("info", "json", out)

    structlog.get_logger("emberwatch").info("incident_opened", workload="prod/llm/chat", tokens=5)
    structlog.get_logger("emberwatch").debug("unseen")

    (line,) = out.getvalue().splitlines()
    event = json.loads(line)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "incident_opened",
        "level": "info",
        "logger": "emberwatch",
        "tokens": 5,
        "workload": "prod/llm/chat",
    }


@pytest.mark.usefixtures("restored")
def test_the_log_goes_to_standard_error(capsys: pytest.CaptureFixture[str]):
    configure_logging("warning", "console")

    logging.getLogger("a.library").warning("seen")

    captured = capsys.readouterr()
    assert captured.out == ""
    assert "seen" in captured.err
    assert "\x1b" not in captured.err


def test_what_is_no_secret_stays():
    text = "3 tokens of https://db/name:80/@x; input_tokens=5; https://hooks.slack.com/"

    assert redact(text) == text
    assert [
        name for name in ("tokens", "input_tokens", "secretary", "keyboard", "token_file") if names_a_secret(name)
    ] == []
