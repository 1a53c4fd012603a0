"""What a receiver must turn down, by the vectors that every receiver can test itself with."""

from datetime import timedelta

import pytest
from msgspec import json

from alerts.secrets import Secret
from alerts.targets.receiver import Answer, receive
from alerts.targets.signature import sign
from alerts.targets.vectors import NOW, SECRET, Vector, vectors
from alerts.targets.webhook import BODY_MAX_BYTES, Request

VECTORS = {one.name: one for one in vectors()}


def answer_to(one: Vector, **more) -> Answer:
    more = {"taken": lambda _: False, **more}
    return receive([Secret(SECRET)], one.headers, one.body.encode(), one.received_at, **more)


@pytest.mark.parametrize("one", VECTORS.values(), ids=VECTORS)
def test_each_vector_gets_its_status_and_only_what_is_right_is_carried_out(one: Vector):
    answer = answer_to(one)

    assert answer.status == one.status
    assert (answer.request is not None) is (one.status == 202)
    assert ("error" in answer.said) is (one.status != 202)


def test_vectors_are_the_same_at_every_call():
    assert vectors() == vectors()


def test_a_request_is_carried_out_once():
    assert answer_to(VECTORS["right"], taken=lambda message_id: message_id == "act_k6hth33dtzczmwps") == Answer(
        status=202, said={"status": "already taken"}, message_id="act_k6hth33dtzczmwps"
    )


def test_a_target_that_has_changed_is_left_alone():
    asked = json.decode(VECTORS["right"].body)
    asked["target"]["observed_generation"] = "7"
    body = json.encode(asked)
    headers = sign([Secret(SECRET)], "act_k6hth33dtzczmwps", int(NOW.timestamp()), body)
    found = [
        receive([Secret(SECRET)], headers, body, NOW, taken=lambda _: False, generation=lambda _, now=now: now).status
        for now in ("7", "8", None)
    ]

    assert found == [202, 409, 202]


def test_a_signed_body_of_more_than_the_limit_is_not_read():
    body = b" " * BODY_MAX_BYTES + VECTORS["right"].body.encode()
    headers = sign([Secret(SECRET)], "act_a", int(NOW.timestamp()), body)

    assert receive([Secret(SECRET)], headers, body, NOW, taken=lambda _: False).status == 400


def test_expiry_is_exact():
    one = VECTORS["right"]
    expires_at = json.decode(one.body, type=Request).expires_at

    def at(moment):
        body = one.body.encode()
        headers = sign([Secret(SECRET)], "act_k6hth33dtzczmwps", int(moment.timestamp()), body)
        return receive([Secret(SECRET)], headers, body, moment, taken=lambda _: False).status

    assert (at(expires_at - timedelta(seconds=1)), at(expires_at)) == (202, 422)
