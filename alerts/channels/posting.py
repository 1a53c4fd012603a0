"""One POST to an address that the owner has given: to where it was checked, without redirects, and read to a limit."""

from collections.abc import Mapping
from datetime import UTC, datetime
from ipaddress import IPv6Address
from time import monotonic
from urllib.parse import SplitResult, urlsplit

import httpx
from msgspec import Struct

from alerts.channels.retry_after import retry_after_s
from alerts.notices import Outcome, Receipt
from alerts.targets.addresses import AddressRefused, Network, Resolve, check_url, pinned, resolve

ANSWER_MAX_BYTES = 64 * 1024
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class Posted(Struct, frozen=True, kw_only=True):
    """What became of a POST. `status` is None where no answer came."""

    status: int | None = None
    never_left: bool = False  # certainly not received
    refused: str = ""  # why it was not even tried
    wait_s: float | None = None
    fault: str = ""

    @property
    def taken(self) -> bool:
        """Whether the other side took it."""
        return self.status is not None and 200 <= self.status < 300


class Poster:
    """Posts to one address."""

    def __init__(
        self,
        url: str,
        *,
        inside: bool = False,
        allow_insecure_loopback: bool = False,
        allowed: tuple[Network, ...] = (),
        timeout_s: float = 15.0,
        transport: httpx.BaseTransport | None = None,
        resolve: Resolve = resolve,
    ) -> None:
        """`inside`: a server of the owner's own, in any network and without TLS. Raises AddressRefused."""
        self._url: SplitResult = (
            _own(url) if inside else check_url(url, allow_insecure_loopback=allow_insecure_loopback)
        )
        self._inside, self._loopback, self._allowed = inside, allow_insecure_loopback, allowed
        self._timeout_s, self._resolve = timeout_s, resolve
        self._transport = transport or httpx.HTTPTransport()  # no client around it: that would log the URL

    def post(self, body: bytes, headers: Mapping[str, str], path: str = "") -> Posted:
        """Send it once. `path` is put behind the address's own."""
        try:
            answer = self._transport.handle_request(self._request(body, headers, path))
        except AddressRefused as error:
            return Posted(refused=str(error))
        except (httpx.TransportError, OSError) as error:
            left = not isinstance(error, _NEVER_LEFT) and isinstance(error, httpx.TransportError)
            return Posted(never_left=not left, fault=f"no answer ({type(error).__name__})")
        try:
            _drain(answer, monotonic() + self._timeout_s)
        finally:
            answer.close()
        return Posted(
            status=answer.status_code,
            wait_s=retry_after_s(answer.headers.get("retry-after"), datetime.now(UTC)),
            fault=f"answered {answer.status_code}",
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._transport.close()

    def _request(self, body: bytes, headers: Mapping[str, str], path: str) -> httpx.Request:
        """The request to the address that was checked, with the name kept for TLS and the Host header."""
        host, scheme = str(self._url.hostname), self._url.scheme
        port = self._url.port or (443 if scheme == "https" else 80)
        name = host
        if not self._inside:
            address = pinned(host, port, allowed=self._allowed, loopback=self._loopback, resolve=self._resolve)
            name = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
        elif ":" in host:
            name = f"[{host}]"
        own = self._url.path.rstrip("/") + path if path else self._url.path or "/"
        whole = own + (f"?{self._url.query}" if self._url.query else "")
        common = {"host": self._url.netloc, "content-type": "application/json", "user-agent": "emberwatch"}
        return httpx.Request(
            "POST",
            f"{scheme}://{name}:{port}{whole}",
            content=body,
            headers={**common, "accept-encoding": "identity", **headers},
            extensions={"sni_hostname": host, "timeout": httpx.Timeout(self._timeout_s).as_dict()},
        )


def receipt_of(posted: Posted, reference: str, who: str, *, repeatable: bool) -> Receipt:
    """What an answer means. `repeatable`: the same again does no harm, so that what is unsure is tried again."""
    unsure = Outcome.RETRY if repeatable else Outcome.AMBIGUOUS
    if posted.refused:
        return Receipt(outcome=Outcome.REFUSED, detail=posted.refused)
    if posted.status is None:
        outcome = Outcome.RETRY if posted.never_left else unsure
        return Receipt(outcome=outcome, detail=f"{who}: {posted.fault}")
    detail = f"{who} {posted.fault}"
    if posted.taken:
        return Receipt(outcome=Outcome.DELIVERED, reference=reference)
    if posted.status in (408, 425, 429):
        return Receipt(outcome=Outcome.RETRY, retry_after_s=posted.wait_s, detail=detail)
    if posted.status >= 500:
        return Receipt(outcome=unsure, retry_after_s=posted.wait_s, detail=detail)
    if 300 <= posted.status < 400:
        return Receipt(outcome=Outcome.REFUSED, detail=f"{detail}, a redirect; give its final address")
    return Receipt(outcome=Outcome.REFUSED, detail=detail)


def _own(url: str) -> SplitResult:
    """The parts of the address of a server of one's own. Raises AddressRefused."""
    try:
        parts = urlsplit(url)
        named_port = parts.port
    except ValueError:
        raise AddressRefused("an address has a port between 1 and 65535, and a well-formed host") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or named_port == 0 or parts.username is not None:
        raise AddressRefused("an address begins with http:// or https://, has a host, and no user name in it")
    return parts


def _drain(answer: httpx.Response, until_s: float) -> None:
    """Read what is said, so that the connection can be used again: at most 64 kB, and not for long."""
    size = 0
    try:
        for piece in answer.iter_raw(chunk_size=8192):
            size += len(piece)
            if size > ANSWER_MAX_BYTES or monotonic() > until_s:
                return
    except (httpx.TransportError, httpx.StreamError):
        return  # the status has come, and that is all that counts
