"""Standard Webhooks: the published vector, the reference library, and refusals."""

from base64 import b64encode
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from alerts.secrets import Secret
from alerts.targets.signature import SignatureError, check_secret, sign, verify

VECTOR = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
OLD = Secret("whsec_" + b64encode(b"o" * 24).decode())
ID, AT_S, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'


def test_the_published_vector_comes_out() -> None:
    assert sign([VECTOR], ID, AT_S, BODY) == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(
    key=st.binary(min_size=24, max_size=64),
    message_id=st.text(alphabet="abc_-019", min_size=1, max_size=40),
    body=st.text(max_size=200),
    at=st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1)),
)
def test_we_sign_as_the_reference_library_does(key: bytes, message_id: str, body: str, at: datetime) -> None:
    secret = "whsec_" + b64encode(key).decode()
    moment = at.replace(tzinfo=UTC)
    ours = sign([Secret(secret)], message_id, int(moment.timestamp()), body.encode())
    assert ours["webhook-signature"] == Webhook(secret).sign(message_id, moment, body)
    assert verify([Secret(secret)], ours, body.encode(), moment.timestamp()) == message_id


def test_the_reference_library_takes_what_we_sign_now() -> None:
    headers = sign([OLD, VECTOR], ID, int(datetime.now(UTC).timestamp()), BODY)
    assert Webhook(VECTOR.reveal()).verify(BODY, headers) == {"test": 2432232314}


def test_secrets_can_be_changed_without_a_gap() -> None:
    both = sign([VECTOR, OLD], ID, AT_S, BODY)
    for receiver_knows in ([VECTOR], [OLD], [OLD, VECTOR]):
        assert verify(receiver_knows, both, BODY, AT_S) == ID
    with pytest.raises(SignatureError, match="no signature matches"):
        verify([VECTOR], sign([OLD], ID, AT_S, BODY), BODY, AT_S)


def test_header_names_may_be_in_any_case() -> None:
    headers = {name.title(): value for name, value in sign([VECTOR], ID, AT_S, BODY).items()}
    assert verify([VECTOR], headers, BODY, AT_S) == ID


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"webhook-id": "other"}, "no signature matches"),
        ({"webhook-timestamp": str(AT_S + 1)}, "no signature matches"),
        ({"webhook-id": ""}, "missing or malformed"),
        ({"webhook-timestamp": "1614265330.5"}, "missing or malformed"),
        ({"webhook-timestamp": "９"}, "missing or malformed"),
        ({"webhook-timestamp": "9" * 400}, "missing or malformed"),
        ({"webhook-timestamp": str(AT_S - 301)}, "five minutes"),
        ({"webhook-timestamp": str(AT_S + 301)}, "five minutes"),
        ({"webhook-signature": ""}, "no signature matches"),
        ({"webhook-signature": "v1a,g0hM9SsE v2,x v1,é"}, "no signature matches"),
    ],
)
def test_what_is_not_signed_as_it_should_be_is_refused(change: dict[str, str], match: str) -> None:
    with pytest.raises(SignatureError, match=match):
        verify([VECTOR], sign([VECTOR], ID, AT_S, BODY) | change, BODY, AT_S)


def test_a_changed_body_is_refused() -> None:
    with pytest.raises(SignatureError):
        verify([VECTOR], sign([VECTOR], ID, AT_S, BODY), BODY + b" ", AT_S)


@pytest.mark.parametrize("secret", ["whsec_", "whsec_c2hvcnQ=", "whsec_not base64!", "whsec_" + "A" * 200])
def test_a_secret_that_cannot_sign_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(SignatureError) as caught:
        check_secret(Secret(secret))
    assert secret not in str(caught.value)
    assert caught.value.__cause__ is None
