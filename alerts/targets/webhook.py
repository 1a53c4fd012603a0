"""The scale-down webhook: a signed request that expires, to a receiver of the owner's (contract, section 4).

Its id is the action's and stays the same over retries, so that a receiver carries it out once. An answer of 2xx means
that the request was taken; that anything has stopped is proved by the telemetry alone.
"""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Literal

import httpx
import msgspec
from msgspec import Struct

from alerts.channels.posting import Posted, Poster
from alerts.notices import Outcome, Receipt
from alerts.scale_down import Action
from alerts.secrets import Secret
from alerts.targets.addresses import Resolve, resolve
from alerts.targets.signature import SignatureError, check_secret, sign

BODY_MAX_BYTES = 20_000
VALID_FOR = timedelta(minutes=10)  # where the action itself does not say


class Target(Struct, frozen=True, kw_only=True):
    """What is to be scaled."""

    kind: str
    namespace: str
    name: str
    cluster: str
    observed_generation: str | None


class ReplicaChange(Struct, frozen=True, kw_only=True, rename={"from_": "from"}):
    """From how many replicas to how many."""

    from_: int
    to: int


class Scale(Struct, frozen=True, kw_only=True):
    """A change of scale."""

    replicas: ReplicaChange


class Grounds(Struct, frozen=True, kw_only=True):
    """Why, in figures."""

    kind: str
    idle_s: float
    usd_per_hour: float
    usd_so_far: float
    evidence: dict[str, float]


class Request(Struct, frozen=True, kw_only=True):
    """The body of the webhook."""

    type: Literal["scale_down.execute", "scale_down.undo"]
    version: int = 1
    action_id: str
    expires_at: datetime
    dry_run: bool
    workload: str
    team: str | None
    target: Target
    change: Scale
    undo: Scale
    reason: Grounds
    approved_by: str | None
    incident_id: str
    incident_url: str | None


class WebhookTarget:
    """Asks one receiver to scale workloads down, or back up."""

    def __init__(
        self,
        *,
        url: str,
        secrets: tuple[Secret, ...],
        link_base: str | None = None,
        target_kind: str = "Deployment",
        allow_insecure_loopback: bool = False,
        allowed_networks: tuple[str, ...] = (),
        timeout_s: float = 15.0,
        transport: httpx.BaseTransport | None = None,
        resolve: Resolve = resolve,
    ) -> None:
        """Raises AddressRefused for an URL, and SignatureError for a secret, that cannot be used."""
        self._poster = Poster(
            url,
            allow_insecure_loopback=allow_insecure_loopback,
            allowed=tuple(ip_network(text) for text in allowed_networks),
            timeout_s=timeout_s,
            transport=transport,
            resolve=resolve,
        )
        if not secrets:
            raise SignatureError("a webhook needs at least one secret")
        for secret in secrets:
            check_secret(secret)
        self._secrets = secrets
        self._link_base = link_base
        self._target_kind = target_kind

    def execute(self, action: Action, *, dry_run: bool, now: datetime) -> Receipt:
        """Ask for the scale-down. DELIVERED: taken. RETRY is safe at any time, until the action expires."""
        message_id = f"{action.action_id}_dry" if dry_run else action.action_id
        return self._post(message_id, request(action, self._target_kind, self._link_base, dry_run=dry_run), now)

    def undo(self, action: Action, *, dry_run: bool, now: datetime) -> Receipt:
        """Ask for the replicas back, under an id of its own, valid from now."""
        there = request(action, self._target_kind, self._link_base, dry_run=dry_run)
        back = msgspec.structs.replace(
            there,
            type="scale_down.undo",
            change=there.undo,
            undo=there.change,
            expires_at=_utc(now) + VALID_FOR,
            target=msgspec.structs.replace(there.target, observed_generation=None),  # the stop itself has changed it
        )
        return self._post(f"{action.action_id}_undo{'_dry' if dry_run else ''}", back, now)

    def find(self, action: Action, *, undone: bool) -> Receipt:
        """Whether an order came through can't be asked; sending it again is safe: the receiver acts once for an id."""
        return Receipt(outcome=Outcome.RETRY)

    def close(self) -> None:
        """Let go of the connections."""
        self._poster.close()

    def _post(self, message_id: str, asked: Request, now: datetime) -> Receipt:
        if now >= asked.expires_at:
            return Receipt(outcome=Outcome.REFUSED, detail="the action has expired; nothing was sent")
        body = _encoded(asked)
        posted = self._poster.post(body, sign(self._secrets, message_id, int(now.timestamp()), body))
        return _read(posted, message_id)


def request(action: Action, target_kind: str, link_base: str | None, *, dry_run: bool) -> Request:
    """The body for an action; it depends on the action alone, so that each retry says the same."""
    cluster, namespace, name = action.workload.split("/", 2)
    generation = action.evidence.get("observed_generation")
    before, after = action.replicas_from, action.replicas_to
    return Request(
        type="scale_down.execute",
        action_id=action.action_id,
        expires_at=_utc(action.expires_at or action.at + VALID_FOR),
        dry_run=dry_run,
        workload=action.workload,
        team=action.team,
        target=Target(
            kind=target_kind,
            namespace=namespace,
            name=name,
            cluster=cluster,
            observed_generation=None if generation is None else f"{generation:.0f}",
        ),
        change=Scale(replicas=ReplicaChange(from_=before, to=after)),
        undo=Scale(replicas=ReplicaChange(from_=after, to=before)),
        reason=Grounds(
            kind="idle",
            idle_s=action.evidence.get("idle_s", 0.0),
            usd_per_hour=action.usd_per_hour,
            usd_so_far=action.evidence.get("usd_so_far", action.evidence.get("wasted_usd", 0.0)),
            evidence=action.evidence,
        ),
        approved_by=action.approved_by,
        incident_id=action.incident_id,
        incident_url=f"{link_base.rstrip('/')}/incidents/{action.incident_id}" if link_base else None,
    )


def _encoded(asked: Request) -> bytes:
    """The JSON, below 20 kB: evidence is dropped before the limit is broken."""
    body = msgspec.json.encode(asked)
    if len(body) < BODY_MAX_BYTES:
        return body
    return msgspec.json.encode(
        msgspec.structs.replace(asked, reason=msgspec.structs.replace(asked.reason, evidence={}))
    )


def _utc(at: datetime) -> datetime:
    return at.astimezone(UTC)


def _read(posted: Posted, message_id: str) -> Receipt:
    """What an answer means: the receiver acts once for an id, so that whatever is unsure is tried again."""
    status = posted.status
    if posted.refused:
        return Receipt(outcome=Outcome.REFUSED, detail=posted.refused)
    if status is None:
        return Receipt(outcome=Outcome.RETRY, detail=posted.fault.replace("no answer", "no answer from the receiver"))
    if posted.taken:
        return Receipt(outcome=Outcome.DELIVERED, reference=message_id)
    if status in (408, 425, 429) or status >= 500:
        return Receipt(outcome=Outcome.RETRY, retry_after_s=posted.wait_s, detail=f"the receiver answered {status}")
    if status == 410:
        return Receipt(outcome=Outcome.REFUSED, detail="the receiver is gone (410); disable this target")
    if 300 <= status < 400:
        return Receipt(outcome=Outcome.REFUSED, detail=f"the receiver redirects ({status}); give its final address")
    return Receipt(outcome=Outcome.REFUSED, detail=f"the receiver refused the request ({status})")
