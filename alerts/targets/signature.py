"""Standard Webhooks 1.0: the signature of a message, made and checked.

Signed is `{id}.{timestamp}.{body}` with HMAC-SHA256; a secret is `whsec_` and base64 of 24 to 64 bytes.
Several secrets give several signatures, so that a receiver can change from one to the next without a gap.
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from hashlib import sha256
from hmac import compare_digest
from hmac import new as hmac

from alerts.secrets import Secret

TOLERANCE_S = 300


class SignatureError(ValueError):
    """A message that is not signed as it should be, or a secret that cannot sign."""


def sign(secrets: Sequence[Secret], message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The three headers of a message. Raises SignatureError for a secret that is not one."""
    signatures = [f"v1,{b64encode(_mac(secret, message_id, timestamp_s, body)).decode()}" for secret in secrets]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": " ".join(signatures),
    }


def verify(secrets: Sequence[Secret], headers: Mapping[str, str], body: bytes, now_s: float) -> str:
    """The message's id, if any secret has signed it within five minutes of now. Raises SignatureError."""
    given = {name.lower(): value for name, value in headers.items()}
    message_id, stamp = given.get("webhook-id", ""), given.get("webhook-timestamp", "")
    if not message_id or not stamp.isascii() or not stamp.isdigit() or len(stamp) > 12:
        raise SignatureError("webhook-id or webhook-timestamp is missing or malformed")
    if abs(now_s - int(stamp)) > TOLERANCE_S:
        raise SignatureError("webhook-timestamp is more than five minutes off")
    passed = [part[3:] for part in given.get("webhook-signature", "").split(" ") if part.startswith("v1,")]
    for secret in secrets:
        expected = b64encode(_mac(secret, message_id, int(stamp), body))
        if any(compare_digest(expected, one.encode()) for one in passed):
            return message_id
    raise SignatureError("no signature matches")


def check_secret(secret: Secret) -> None:
    """Raises SignatureError unless the secret can sign."""
    _key(secret)


def _mac(secret: Secret, message_id: str, timestamp_s: int, body: bytes) -> bytes:
    return hmac(_key(secret), f"{message_id}.{timestamp_s}.".encode() + body, sha256).digest()


def _key(secret: Secret) -> bytes:
    try:
        key = b64decode(secret.reveal().removeprefix("whsec_"), validate=True)
    except (Base64Error, ValueError):
        raise SignatureError("a webhook secret is `whsec_` and base64") from None
    if not 24 <= len(key) <= 64:
        raise SignatureError(f"a webhook secret holds 24 to 64 bytes, this one {len(key)}")
    return key
