"""Metrics by HTTP: OTLP (`POST /v1/metrics`) and Prometheus remote_write 1.0 (`POST /api/v1/write`).

A body is kept durably before it is answered, cut into messages where it is large. What it holds is judged later; here
it is refused only as a whole. A sender never repeats what is answered 400, 413 or 415, and repeats 429 and 503.
"""

from collections.abc import Awaitable, Callable, Sequence

import cramjam
import msgspec
from anyio.to_thread import run_sync
from msgspec import DecodeError, Raw, Struct, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from console.guard import OTLP, WRITE
from console.ingest import Refused, read_body, too_large, unpacked
from streams.formats.points import Malformed
from streams.formats.sniff import OTLP_TOPIC, WRITE_TOPIC
from streams.formats.wire import BYTES, fields, varint
from streams.intake import Append, IntakeFull, IntakeRefused

BODY_BYTES = 8 * 1024 * 1024  # unpacked
AT_ONCE = 8
PROTOBUF, JSON = "application/x-protobuf", "application/json"
V2 = "proto=io.prometheus.write.v2.request"

Read = Callable[[Request], Awaitable[tuple[Sequence[bytes], str]]]


class _Groups(Struct):
    resourceMetrics: list[Raw] = []


_groups = msgspec.json.Decoder(_Groups)


class MetricsDoors:
    """Two doors to `append`, which at most `at_once` requests use at a time."""

    def __init__(
        self, append: Append, message_bytes: int, body_bytes: int = BODY_BYTES, at_once: int = AT_ONCE
    ) -> None:
        """A body of up to `body_bytes` becomes messages of up to `message_bytes`."""
        self._append = append
        self._message_bytes, self._body_bytes = message_bytes, max(body_bytes, message_bytes)
        self._at_once, self._inside = at_once, 0

    def routes(self) -> list[Route]:
        """The routes to add to an app."""
        return [Route(OTLP, self.otlp, methods=["POST"]), Route(WRITE, self.write, methods=["POST"])]

    async def otlp(self, request: Request) -> Response:
        """OTLP/HTTP: 200 once all is kept; otherwise a `Status` in the sender's own encoding says why not."""
        kind = _kind(request)
        status, what, headers = await self._take(request, self._read_otlp)
        if kind == JSON:
            body = b"{}" if status == 200 else msgspec.json.encode({"code": _code(status), "message": what})
        else:
            kind = PROTOBUF
            body = b"" if status == 200 else _status(_code(status), what)
        return Response(body, status, headers, media_type=kind)

    async def write(self, request: Request) -> Response:
        """remote_write: 204 once all is kept; otherwise the reason as text."""
        status, what, headers = await self._take(request, self._read_write)
        return Response(None if status == 200 else what, 204 if status == 200 else status, headers)

    async def _take(self, request: Request, read: Read) -> tuple[int, str, dict[str, str]]:
        """The status, what is wrong, and headers of the answer."""
        try:
            if self._inside >= self._at_once:
                raise Refused(429, "too many requests at once", {"retry-after": "1"})
            self._inside += 1
            try:
                values, topic = await read(request)
                if values:
                    await run_sync(self._append, values, topic)
            finally:
                self._inside -= 1
        except Refused as refused:
            return refused.status, str(refused), refused.headers or {}
        except IntakeRefused as refused:
            status = 429 if isinstance(refused, IntakeFull) else 503
            return status, str(refused), {"retry-after": str(max(1, refused.retry_after_s))}
        return 200, "", {}

    async def _read_otlp(self, request: Request) -> tuple[Sequence[bytes], str]:
        kind = _kind(request)
        if kind not in (PROTOBUF, JSON):
            raise Refused(415, f"the content type must be {PROTOBUF} or {JSON}", {"accept": f"{PROTOBUF}, {JSON}"})
        packing = request.headers.get("content-encoding", "identity").strip().lower()
        if packing not in ("identity", "gzip", ""):
            raise Refused(415, "content encoding must be gzip or absent", {"accept-encoding": "gzip, identity"})
        body = await read_body(request, self._body_bytes)
        if packing == "gzip":
            body = unpacked(body, self._body_bytes)
        return (self._json_parts(body) if kind == JSON else self._parts(body)), OTLP_TOPIC

    async def _read_write(self, request: Request) -> tuple[Sequence[bytes], str]:
        stated = request.headers.get("content-type", "").replace(" ", "").lower()
        if _kind(request) != PROTOBUF or V2 in stated:
            raise Refused(
                415, "remote_write 1.0 is understood: prometheus.WriteRequest as application/x-protobuf in snappy"
            )
        if request.headers.get("content-encoding", "").strip().lower() != "snappy":
            raise Refused(415, "content encoding must be snappy", {"accept-encoding": "snappy"})
        body = await read_body(request, self._body_bytes)
        try:
            size_bytes, _ = varint(body, 0, len(body))
            if size_bytes > self._body_bytes:
                raise too_large(self._body_bytes)
            plain = bytes(cramjam.snappy.decompress_raw(body))
        except (Malformed, cramjam.DecompressionError):
            raise Refused(400, "the body is not a snappy block") from None
        return self._parts(plain), WRITE_TOPIC

    def _parts(self, body: bytes) -> list[bytes]:
        """Messages of protobuf, cut between the fields of the body. Raises Refused."""
        parts: list[bytes] = []
        begin = done = 0
        try:
            for number, wire, _, after in fields(body, 0, len(body)):
                if number != 1 and wire == BYTES and not parts and not done:
                    raise Refused(400, "the body is protobuf of another kind")
                if after - begin > self._message_bytes and done > begin:
                    parts.append(body[begin:done])
                    begin = done
                if after - begin > self._message_bytes:
                    raise too_large(self._message_bytes)
                done = after
        except Malformed as error:
            raise Refused(400, f"the body is not what its content type says: {error}") from None
        return [*parts, body[begin:]] if begin < len(body) else parts

    def _json_parts(self, body: bytes) -> list[bytes]:
        """Messages of JSON, cut between resources. Raises Refused."""
        try:
            groups = [bytes(group) for group in _groups.decode(body).resourceMetrics]
        except (ValidationError, DecodeError, ValueError) as error:
            raise Refused(400, f"the body is not OTLP in JSON: {str(error)[:200]}") from None
        except RecursionError:
            raise Refused(400, "the body is nested too deeply") from None
        parts: list[list[bytes]] = []
        size_bytes = 0
        for group in groups:
            if len(group) + 32 > self._message_bytes:
                raise too_large(self._message_bytes)
            size_bytes += len(group) + 1
            if not parts or size_bytes + 32 > self._message_bytes:
                parts.append([])
                size_bytes = len(group)
            parts[-1].append(group)
        return [b'{"resourceMetrics":[' + b",".join(part) + b"]}" for part in parts]


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _code(status: int) -> int:
    """The code of google.rpc for a status of HTTP."""
    return {429: 8, 503: 14, 408: 4}.get(status, 3)


def _status(code: int, what: str) -> bytes:
    """`google.rpc.Status` in protobuf."""
    words = what.encode()[:4000]
    size = len(words)
    length = bytes((size & 0x7F | 0x80, size >> 7)) if size >= 0x80 else bytes((size,))
    return bytes((0x08, code, 0x12)) + length + words
