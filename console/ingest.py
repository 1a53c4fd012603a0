"""Events by HTTP: `POST /api/v1/events` keeps them durably before it answers, and judges none of them.

The body is a JSON object, a JSON array (an envelope) or NDJSON, plain or in gzip. Whether an event is a good one is
decided later, where every event is judged; here a body is refused only as a whole.
"""

import zlib
from collections.abc import Sequence

import anyio
import msgspec
from anyio.to_thread import run_sync
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from console.guard import INGEST
from streams.intake import Append, IntakeFull, IntakeRefused

BODY_BYTES = 1024 * 1024
AT_ONCE = 16  # requests whose bodies are held in memory at a time
READ_S = 30.0
MOST_MEMBERS = 1000  # of gzip in one body; each is looked for in what is left of it
JSON_TYPES = frozenset({"application/json", "text/json"})
LINE_TYPES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})


class Refused(Exception):
    """A body that is not taken: the status of the answer, and why."""

    def __init__(self, status: int, what: str, headers: dict[str, str] | None = None) -> None:
        """`what` is shown to the sender."""
        super().__init__(what)
        self.status = status
        self.headers = headers


class Ingest:
    """Takes bodies of up to `body_bytes`, measured as sent and again when unpacked."""

    def __init__(self, append: Append, body_bytes: int = BODY_BYTES, at_once: int = AT_ONCE) -> None:
        """A door to `append`, which at most `at_once` requests use at a time."""
        self._append = append
        self._body_bytes = body_bytes
        self._at_once = at_once
        self._inside = 0

    def route(self) -> Route:
        """The route to add to an app."""
        return Route(INGEST, self.post, methods=["POST"])

    async def post(self, request: Request) -> Response:
        """202 once all values are kept; otherwise nothing is, and the answer says why and when to come again."""
        try:
            if self._inside >= self._at_once:
                raise Refused(429, "too many requests at once", {"retry-after": "1"})
            self._inside += 1
            try:
                values, events = await self._read(request)
                if values:
                    await run_sync(self._append, values)
            finally:
                self._inside -= 1
        except Refused as refused:
            return JSONResponse({"error": str(refused)}, refused.status, refused.headers)
        except IntakeRefused as refused:
            status = 429 if isinstance(refused, IntakeFull) else 503
            return JSONResponse({"error": str(refused)}, status, {"retry-after": str(max(1, refused.retry_after_s))})
        return JSONResponse({"accepted": events}, 202)

    async def _read(self, request: Request) -> tuple[Sequence[bytes], int]:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in JSON_TYPES | LINE_TYPES:
            raise Refused(
                415,
                f"content type {kind[:80] or 'absent'!r} is not understood; send application/json (an event or an "
                "array of events) or application/x-ndjson (an event a line)",
                {"accept": "application/json, application/x-ndjson"},
            )
        packing = request.headers.get("content-encoding", "identity").strip().lower()
        if packing not in ("identity", "gzip"):
            raise Refused(415, "content encoding must be gzip or absent", {"accept-encoding": "gzip, identity"})
        body = await read_body(request, self._body_bytes)
        if packing == "gzip":
            body = unpacked(body, self._body_bytes)
        return _lines(body) if kind in LINE_TYPES else _document(body)


async def read_body(request: Request, most_bytes: int) -> bytes:
    """A body of up to so many bytes as it was sent. Raises Refused."""
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > most_bytes:
        raise too_large(most_bytes)
    body = bytearray()
    try:
        with anyio.fail_after(READ_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most_bytes:
                    raise too_large(most_bytes)
    except TimeoutError:
        raise Refused(408, f"the body did not arrive within {READ_S:g} s") from None
    except ClientDisconnect:
        raise Refused(400, "the body ended early") from None
    return bytes(body)


def _document(body: bytes) -> tuple[Sequence[bytes], int]:
    try:
        value = msgspec.json.decode(body, type=dict[str, msgspec.Raw] | list[msgspec.Raw])
    except msgspec.DecodeError as fault:
        raise Refused(400, f"the body is not a JSON object or array: {str(fault)[:200]}") from None
    except RecursionError:
        raise Refused(400, "the body is nested too deeply") from None
    if isinstance(value, dict):
        return [body], 1
    return ([body] if value else []), len(value)


def _lines(body: bytes) -> tuple[Sequence[bytes], int]:
    lines = [line for line in (line.strip() for line in body.split(b"\n")) if line]
    if not lines:
        raise Refused(400, "the body holds no line")
    if not any(line[:1] in (b"{", b"[") for line in lines):
        raise Refused(400, "no line of the body is a JSON object or array")
    return lines, len(lines)


def unpacked(body: bytes, most_bytes: int) -> bytes:
    """What is packed in the body's gzip members; never more than `most_bytes` are unpacked."""
    unpacked = bytearray()
    for _ in range(MOST_MEMBERS):
        if not body:
            return bytes(unpacked)
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        try:
            unpacked += member.decompress(body, most_bytes - len(unpacked) + 1)
        except zlib.error:
            raise Refused(400, "the body is not gzip, though its content encoding says so") from None
        if len(unpacked) > most_bytes:
            raise too_large(most_bytes)
        if not member.eof:
            raise Refused(400, "the body's gzip ends early")
        body = member.unused_data
    raise Refused(400, f"the body has more than {MOST_MEMBERS} gzip members; send it in parts")


def too_large(most_bytes: int) -> Refused:
    """What to say of a body beyond the limit."""
    return Refused(413, f"the body is larger than {most_bytes} bytes; send it in parts", {"connection": "close"})
