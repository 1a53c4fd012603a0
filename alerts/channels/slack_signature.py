"""Whether a request was signed by Slack, for us and just now (docs.slack.dev, verifying requests from Slack)."""

import hmac
from hashlib import sha256

from alerts.secrets import Secret

TOLERANCE_S = 300.0
VERSION = "v0"


def signature(secret: Secret, timestamp: str, body: bytes) -> str:
    """`v0=` and the HMAC-SHA256 over version, timestamp and the raw body."""
    signed = f"{VERSION}:{timestamp}:".encode() + body
    return f"{VERSION}={hmac.new(secret.reveal().encode(), signed, sha256).hexdigest()}"


def is_signed(secret: Secret, timestamp: str, body: bytes, given: str, now_s: float) -> bool:
    """Whether the signature holds and is at most five minutes old. In constant time."""
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        return False
    fresh = abs(now_s - int(timestamp)) <= TOLERANCE_S
    return hmac.compare_digest(signature(secret, timestamp, body).encode(), given.encode("utf-8", "replace")) and fresh
