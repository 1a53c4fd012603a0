"""Test vectors of the webhook: requests that a receiver must take or turn down, for receivers in any language."""

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct, json
from msgspec.structs import replace

from alerts.scale_down import Action, ActionStep, Mode
from alerts.secrets import Secret
from alerts.targets.signature import sign
from alerts.targets.webhook import request

SECRET = "whsec_" + "dGVzdC12ZWN0b3JzLW9mLWVtYmVyd2F0Y2gtMDEyMzQ1"  # of these vectors alone
OTHER = "whsec_" + "YW5vdGhlci1zZWNyZXQtb2YtdGVzdC12ZWN0b3JzLTAx"
NOW = datetime(2026, 11, 24, 23, 10, tzinfo=UTC)


class Vector(Struct, frozen=True, kw_only=True):
    """A request as it arrives at `received_at`, and the status that the contract asks for."""

    name: str
    received_at: datetime
    headers: dict[str, str]
    body: str
    status: int


def vectors() -> list[Vector]:
    """Every case that a receiver has to tell apart, the same at each call."""
    action = Action(
        action_id="act_k6hth33dtzczmwps",
        incident_id="inc_k6hth33dtzczmwps",
        workload="research/vision/notebook-ana",
        team="vision",
        mode=Mode.PROPOSE,
        step=ActionStep.EXECUTED,
        at=NOW,
        usd_per_hour=32.0,
        replicas_from=1,
        evidence={"idle_s": 2700.0, "power_w": 73.0, "usd_so_far": 24.0},
        approved_by="console",
        expires_at=NOW + timedelta(minutes=10),
    )
    asked = request(action, "Deployment", None, dry_run=False)
    body = json.encode(asked)
    late = json.encode(replace(asked, expires_at=NOW - timedelta(seconds=1)))
    rehearsed = json.encode(replace(asked, dry_run=True))
    uml = json.encode(replace(asked, workload="research/vision/größe-π"))
    return [
        _vector("right", body, 202),
        _vector("right, four minutes old", body, 202, age_s=240),
        _vector("right, not ASCII", uml, 202),
        _vector("a rehearsal: nothing is to be changed", rehearsed, 202),
        _vector("signed by the second of two secrets", body, 202, secrets=(OTHER, SECRET)),
        _vector("signed by another secret", body, 401, secrets=(OTHER,)),
        _vector("the body was changed by one byte", body.replace(b"vision", b"visiom", 1), 401, signed=body),
        _vector("ten minutes old", body, 401, age_s=600),
        _vector("from the future", body, 401, age_s=-600),
        _vector("without a signature", body, 401, drop="webhook-signature"),
        _vector("without an id", body, 401, drop="webhook-id"),
        _vector("expired", late, 422),
        _vector("not JSON", b"scale it down", 400),
    ]


def _vector(
    name: str,
    body: bytes,
    status: int,
    *,
    secrets: tuple[str, ...] = (SECRET,),
    signed: bytes | None = None,
    age_s: int = 0,
    drop: str | None = None,
) -> Vector:
    stamp = int(NOW.timestamp()) - age_s
    headers: dict[str, Any] = sign([Secret(one) for one in secrets], "act_k6hth33dtzczmwps", stamp, signed or body)
    headers.pop(drop or "", None)
    return Vector(name=name, received_at=NOW, headers=headers, body=body.decode(), status=status)
