import logging
import socket
from threading import Thread

import httpx
import pytest

from console.server import address, server
from tests.console.doors import TOKEN, House


@pytest.mark.parametrize(
    ("host", "token", "shown"),
    [
        ("127.0.0.1", "abc", "http://127.0.0.1:8787/?token=abc"),
        ("0.0.0.0", None, "http://127.0.0.1:8787/"),
        ("::1", None, "http://[::1]:8787/"),
    ],
)
def test_the_address_to_open(host, token, shown):
    assert address(host, 8787, token) == shown


def test_the_token_of_the_address_opens_the_page_and_appears_in_no_log(caplog):
    caplog.set_level(logging.DEBUG)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        console = server(House().app, "127.0.0.1", port)
        thread = Thread(target=console.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with httpx.Client(follow_redirects=True) as client:
                answer = client.get(address("127.0.0.1", port, TOKEN))
            assert answer.status_code == 200
            assert "$88.40" in answer.text
            assert TOKEN not in answer.text
        finally:
            console.should_exit = True
            thread.join(10)
    logged = [record for record in caplog.records if not record.name.startswith(("httpx", "httpcore"))]
    assert not any(TOKEN in record.getMessage() for record in logged)
