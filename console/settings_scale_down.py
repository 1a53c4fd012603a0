"""How far the service may go in stopping what is idle. By default: not at all."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, SecretStr, WithJsonSchema, model_validator

from alerts.scale_down import Mode
from alerts.targets.kubernetes_kinds import KINDS
from console.settings_detection import MINUTE
from console.settings_people import MatcherText
from console.settings_service import is_loopback
from console.settings_types import (
    Count,
    Duration,
    Glob,
    Moment,
    Ratio,
    Secret,
    Section,
    TimeOfDay,
    Timezone,
    duration_text,
    fault,
    shown,
)

KIND_PATTERN = f"^({'|'.join(KINDS)})$"


def _webhook_url(value: object) -> object:
    if isinstance(value, SecretStr):
        return value
    meant = "an address that begins with https://"
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
        host = parts.hostname if parts else None
    except ValueError:
        parts = host = None
    if parts is None or not host or parts.scheme not in ("https", "http"):
        raise fault("a value of another kind (not shown)" if isinstance(value, str) else shown(value), meant)
    return SecretStr(str(value))


class WebhookTarget(Section):
    """The receiver that scales down: a signed request for each action."""

    needed_secrets: ClassVar[tuple[str, ...]] = ("secret",)

    type: Literal["webhook"] = Field(description="Sends signed requests.")
    url: Annotated[SecretStr, BeforeValidator(_webhook_url), WithJsonSchema({"type": "string", "format": "uri"})] = (
        Field(description="Address of the receiver, https. Never shown.")
    )
    secret: Secret | None = Field(default=None, description="Signing key (whsec_...), as a reference.")
    secret_file: Path | None = Field(default=None, description="File that holds the signing key.")
    allow_insecure_loopback: bool = Field(
        default=False, description="Allow http:// to this machine, for trying it out."
    )

    @model_validator(mode="after")
    def _encrypted(self) -> Self:
        parts = urlsplit(self.url.get_secret_value())
        if parts.scheme == "https" or (self.allow_insecure_loopback and is_loopback(parts.hostname or "")):
            return self
        raise fault(
            "an address without encryption (not shown)",
            "https://; or http:// to this machine with allow_insecure_loopback: true",
            option="url",
        )


class KubernetesTarget(Section):
    """Scales down directly in a Kubernetes cluster, as the service account that the service runs as."""

    type: Literal["kubernetes"] = Field(description="Scales objects of a cluster.")
    cluster: str = Field(min_length=1, max_length=253, description="The first part of the names of its workloads.")
    namespaces: tuple[Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")], ...] = Field(
        min_length=1, description="Namespaces in which anything may be stopped, by name."
    )
    kinds: tuple[Annotated[str, Field(pattern=KIND_PATTERN)], ...] = Field(
        default=("Deployment", "StatefulSet"),
        min_length=1,
        description="Kinds that may be scaled; those of KServe, Knative, KEDA and Kubeflow where these are in use.",
    )
    gitops_too: bool = Field(
        default=False, description="Change also what Argo CD or Flux keeps in git: they may set it back at once."
    )
    url: Annotated[str, Field(pattern=r"^https://[^/@?#\s]+$")] = Field(
        default="https://kubernetes.default.svc", description="Address of the API server, https."
    )
    token_file: Path = Field(
        default=Path("/var/run/secrets/kubernetes.io/serviceaccount/token"),
        description="File that holds the service account's token; read at each request, for it rotates.",
    )
    ca_file: Path = Field(
        default=Path("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"),
        description="PEM file of the API server's authority.",
    )


class FreezeRow(Section):
    """A time in which nothing is stopped. All that is given must hold."""

    since: Moment | None = Field(default=None, alias="from", description="From when on.")
    until: Moment | None = Field(default=None, description="Up to when, this moment not included.")
    days: tuple[Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"], ...] = Field(
        default=(), description="Days of the week; none: every day."
    )
    begins: TimeOfDay | None = Field(default=None, description="From this time of each day on.")
    ends: TimeOfDay | None = Field(
        default=None, description="Up to this time of each day; before `begins`, it goes on over midnight."
    )
    timezone: Timezone = Field(default="UTC", description="Zone of `days`, `begins` and `ends`.")

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        if (self.since, self.until, self.begins, self.ends) == (None,) * 4 and not self.days:
            raise fault("a freeze without a time", "from, until, days, begins or ends")
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise fault("a freeze that ends before it begins", "an `until` after `from`", option="until")
        if self.begins is not None and self.begins == self.ends:
            raise fault("a freeze of no length", "another time of day than `begins`", option="ends")
        return self


Target = Annotated[WebhookTarget | KubernetesTarget, Field(discriminator="type")]


class ScaleDown(Section):
    """Whether, what and how fast. More than observing needs three settings: mode, selector and target."""

    mode: Literal["observe", "propose", "auto"] = Field(
        default="observe",
        description="observe: record what would be done. propose: ask a person. auto: act after a warning.",
    )
    selector: tuple[MatcherText, ...] = Field(
        default=(), description="Matchers (as in routes) on what may be stopped; all must hold. None matches nothing."
    )
    target: Target | None = Field(default=None, description="Who does it.")
    protected: tuple[Glob, ...] = Field(
        default=(), description="Globs on workloads that are never stopped, whatever else is set."
    )
    warn_after: Duration = Field(
        default=timedelta(minutes=30),
        ge=MINUTE,
        le=timedelta(days=30),
        description="Warn when something has been idle for so long.",
    )
    propose_after: Duration = Field(
        default=timedelta(minutes=60), ge=MINUTE, le=timedelta(days=30), description="Ask a person after so long."
    )
    act_after: Duration = Field(
        default=timedelta(hours=2), ge=2 * MINUTE, le=timedelta(days=30), description="In mode auto, act after so long."
    )
    warning_lead: Duration = Field(
        default=timedelta(minutes=15),
        ge=timedelta(0),
        le=timedelta(days=30),
        description="At least so long between the warning and the act, so that its owner can object.",
    )
    max_per_hour: Count = Field(
        default=4, ge=1, le=1000, description="The most actions in any hour, over the whole service."
    )
    max_per_day: Count = Field(default=20, ge=1, le=10_000, description="The same for any day.")
    max_per_team_and_hour: Count = Field(
        default=4, ge=1, le=1000, description="The most actions on one team's workloads in any hour."
    )
    max_gpu_ratio_per_hour: Ratio = Field(
        default=0.05,
        description="The largest share of all accelerators that is stopped in any hour; 5 percent is written 0.05.",
    )
    max_gpu_ratio_per_day: Ratio = Field(
        default=0.10, description="The same for any day. In a small fleet one workload is a large share: raise both."
    )
    freeze: tuple[FreezeRow, ...] = Field(
        default=(), description="Times in which nothing is stopped; people may still be asked."
    )

    @property
    def allowed(self) -> Mode:
        """How far it may go, as `alerts` names it."""
        return Mode(self.mode)

    @model_validator(mode="after")
    def _deliberate(self) -> Self:
        missing = [name for name, given in (("selector", self.selector), ("target", self.target)) if not given]
        if self.mode != "observe" and missing:
            raise fault(
                f"{self.mode} without {' and '.join(missing)}",
                "three settings together: mode, selector (what may be stopped), target (who stops it); or observe",
                option="mode",
            )
        if not self.warn_after <= self.propose_after <= self.act_after or self.warn_after == self.act_after:
            shown_all = ", ".join(duration_text(wait) for wait in (self.warn_after, self.propose_after, self.act_after))
            raise fault(
                shown_all,
                "warn_after, propose_after and act_after in rising order, with time to object",
                option="warn_after",
            )
        return self
