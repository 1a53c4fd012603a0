"""What a receiver of scale-downs must ask of a request before it does anything (contract, section 4). Pure.

A receiver in Python can use it as it is: `receive` says what to answer, and whether there is anything to carry out.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import msgspec
from msgspec import Struct

from alerts.secrets import Secret
from alerts.targets.signature import SignatureError, verify
from alerts.targets.webhook import BODY_MAX_BYTES, Request


class Answer(Struct, frozen=True, kw_only=True):
    """What to answer: `status` and `said` as JSON; `request` is what to carry out now, None where there is nothing."""

    status: int
    said: dict[str, str]
    request: Request | None = None
    message_id: str | None = None  # of a request that is signed by us


def receive(
    secrets: Sequence[Secret],
    headers: Mapping[str, str],
    body: bytes,
    now: datetime,
    *,
    taken: Callable[[str], bool],
    generation: Callable[[Request], str | None] = lambda _: None,
) -> Answer:
    """Ask a request everything, in the order in which it can be trusted.

    `taken`: whether a request of this id was carried out before; keep the ids, durably, for as long as requests are
    valid. `generation`: that of the target now, None where it is not known. 401 unsigned or old, 400 unreadable, 422
    expired, 409 changed since it was looked at; 202 taken, now or before. Never raises for what a sender can do.
    """
    try:
        message_id = verify(secrets, headers, body, now.timestamp())
    except SignatureError as error:
        return _no(401, str(error))
    if len(body) > BODY_MAX_BYTES:
        return _no(400, f"the body has more than {BODY_MAX_BYTES} bytes", message_id)
    try:
        request = msgspec.json.decode(body, type=Request)
    except msgspec.MsgspecError as error:
        return _no(400, f"the body is not a scale-down request: {error}"[:300], message_id)
    if taken(message_id):
        return Answer(status=202, said={"status": "already taken"}, message_id=message_id)
    if now.astimezone(UTC) >= request.expires_at:
        return _no(422, "the request has expired", message_id)
    seen, present = request.target.observed_generation, generation(request)
    if seen is not None and present is not None and seen != present:
        return _no(409, "the target has changed since", message_id)
    if request.dry_run:
        return Answer(status=202, said={"status": "would be done"}, request=request, message_id=message_id)
    return Answer(status=202, said={"status": "taken"}, request=request, message_id=message_id)


def _no(status: int, error: str, message_id: str | None = None) -> Answer:
    return Answer(status=status, said={"error": error}, message_id=message_id)
