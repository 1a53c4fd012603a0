"""Secrets show themselves to nobody who does not ask."""

import pickle
import traceback

import pytest

from alerts.secrets import Secret

CANARY = "xoxb-canary-7f3a"


def test_a_secret_is_seen_only_by_who_reveals_it() -> None:
    secret = Secret(CANARY)
    shown = f"{secret} {secret!r} {[secret]}"
    assert shown == "*** Secret(***) [Secret(***)]"
    assert secret.reveal() == CANARY
    assert (bool(secret), bool(Secret(""))) == (True, False)
    assert secret == Secret(CANARY)
    assert secret != Secret("another")
    assert len({secret, Secret(CANARY)}) == 1


def test_a_secret_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="not pickled") as caught:
        pickle.dumps(Secret(CANARY))
    assert CANARY not in "".join(traceback.format_exception(caught.value))
