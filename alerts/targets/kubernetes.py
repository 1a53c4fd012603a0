"""Scales down directly in Kubernetes: few verbs, in namespaces of a list, rehearsed by the server before it is done.

The object is looked at anew for every order: who controls it, what protects it, how large it is. A change rests on the
very version that was looked at, so that what someone else does meanwhile makes it fail instead of being overwritten.
"""

import ssl
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from msgspec import Struct
from msgspec.structs import replace

from alerts.channels.retry_after import retry_after_s
from alerts.notices import Outcome, Receipt
from alerts.scale_down import Action, Observed, Standing
from alerts.targets.kubernetes_kinds import KINDS, Kind, Object, Patch, controller_of, observed

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
IN_CLUSTER = "https://kubernetes.default.svc"
MERGE_PATCH = "application/merge-patch+json"
MOST_OWNERS = 4  # of one object, one above the other
TIMEOUT_S = 10.0
LONGEST_REASON = 200


class NotAnswered(Exception):
    """The API server does not answer, or may not tell us."""


class Found(Struct, frozen=True):
    """An object that is to be scaled: the topmost that controls a workload."""

    kind: Kind
    namespace: str
    name: str
    content: Object
    scaled: Object | None = None  # what a ScaledObject scales


class KubernetesTarget:
    """Scales workloads of one cluster down and back up."""

    def __init__(
        self,
        *,
        cluster: str,
        namespaces: Sequence[str],
        kinds: Sequence[str] = ("Deployment", "StatefulSet"),
        gitops_too: bool = False,
        url: str = IN_CLUSTER,
        token_file: Path = SERVICE_ACCOUNT / "token",
        ca_file: Path | None = SERVICE_ACCOUNT / "ca.crt",
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`cluster`: the first part of the workloads' names. The token is read anew for each request: it rotates.

        Raises KeyError for a kind that is not known, OSError and ssl.SSLError for a certificate that can't be read.
        """
        self._cluster, self._namespaces = cluster, frozenset(namespaces)
        self._kinds = [kind for kind in KINDS.values() if kind.name in kinds]
        self._by_name = {kind: KINDS[kind] for kind in kinds}
        self._gitops_too, self._token_file, self._clock = gitops_too, token_file, clock
        verify = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        self._http = httpx.Client(
            base_url=url, verify=verify, timeout=TIMEOUT_S, transport=transport, trust_env=False, follow_redirects=False
        )

    def observe(self, workload: str) -> Observed | None:
        """How a workload stands just now; None where the API server does not say."""
        try:
            found = self._find(workload)
        except NotAnswered:
            return None
        return found if isinstance(found, Observed) else self._seen(found)

    def execute(self, action: Action, *, dry_run: bool, now: datetime) -> Receipt:
        """Scale it down. RETRY: nothing was changed; AMBIGUOUS: it may have been, and `find` tells."""
        return self._change(action, lambda kind: kind.stop(action.replicas_to, now), action.replicas_to, dry_run)

    def undo(self, action: Action, *, dry_run: bool, now: datetime) -> Receipt:
        """Bring it back to what it was, protected or not: its owner asks for it."""
        return self._change(action, lambda kind: kind.back(action.replicas_from), action.replicas_from, dry_run, True)

    def find(self, action: Action, *, undone: bool) -> Receipt:
        """Whether an order has been carried out: DELIVERED; RETRY if not; AMBIGUOUS where nobody answers."""
        try:
            found = self._find(action.workload)
        except NotAnswered as error:
            return Receipt(outcome=Outcome.AMBIGUOUS, detail=str(error))
        wanted = action.replicas_from if undone else action.replicas_to
        if isinstance(found, Found) and self._seen(found).replicas == wanted:
            return Receipt(outcome=Outcome.DELIVERED, reference=_reference(found))
        return Receipt(outcome=Outcome.RETRY, detail="it was not changed")

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def _change(
        self, action: Action, patch: Callable[[Kind], Patch], wanted: int, dry_run: bool, undo: bool = False
    ) -> Receipt:
        try:
            found = self._find(action.workload)
        except NotAnswered as error:
            return Receipt(outcome=Outcome.RETRY, detail=str(error))
        if isinstance(found, Observed):
            return Receipt(outcome=Outcome.REFUSED, detail=found.detail)
        stands = self._seen(found)
        if not undo and stands.standing is not Standing.FREE:
            return Receipt(outcome=Outcome.REFUSED, detail=stands.detail)
        if stands.replicas == wanted:
            return Receipt(outcome=Outcome.DELIVERED, reference=_reference(found), detail="it was so already")
        rehearsed = self._patch(found, patch(found.kind), dry_run=True)
        if dry_run or rehearsed.outcome is not Outcome.DELIVERED:
            unchanged = rehearsed.outcome is Outcome.AMBIGUOUS
            return Receipt(outcome=Outcome.RETRY, detail=rehearsed.detail) if unchanged else rehearsed
        return self._patch(found, patch(found.kind), dry_run=False)

    def _seen(self, found: Found) -> Observed:
        seen = observed(found.kind, found.content, now=self._clock(), gitops_too=self._gitops_too)
        if seen.replicas is None and found.scaled is not None:
            return replace(seen, replicas=KINDS["Deployment"].size(found.scaled))
        return seen

    def _find(self, workload: str) -> Found | Observed:
        """What is to be scaled for a workload; where there is nothing, how that stands. Raises NotAnswered."""
        cluster, _, rest = workload.partition("/")
        namespace, _, name = rest.partition("/")
        if cluster != self._cluster or namespace not in self._namespaces or not _is_name(name):
            return Observed(standing=Standing.ABSENT, detail="it is outside the target's cluster and namespaces")
        found = self._named(namespace, name)
        if found is None:
            return Observed(standing=Standing.ABSENT, detail="there is no object of its name and of a kind in use")
        return self._top(found)

    def _named(self, namespace: str, name: str) -> Found | None:
        for kind in self._kinds:
            if kind.scales_another:
                found = self._scaled_object_of(kind, namespace, name)
            else:
                content = self._get(kind.path(namespace, name))
                found = None if content is None else Found(kind, namespace, name, content)
            if found is not None:
                return found
        return None

    def _scaled_object_of(self, kind: Kind, namespace: str, name: str) -> Found | None:
        """The ScaledObject that scales the Deployment or StatefulSet of this name."""
        listed = (self._get(kind.path(namespace)) or {}).get("items")
        for one in listed if isinstance(listed, list) else ():
            scaled = one.get("spec", {}).get("scaleTargetRef", {})
            if scaled.get("name") == name and scaled.get("kind", "Deployment") in ("Deployment", "StatefulSet"):
                content = self._get(KINDS[scaled.get("kind", "Deployment")].path(namespace, name))
                return Found(kind, namespace, str(one["metadata"]["name"]), one, content)
        return None

    def _top(self, found: Found) -> Found | Observed:
        """What controls it, as far up as that goes. What is controlled by something else is left alone."""
        for _ in range(MOST_OWNERS):
            owner = controller_of(found.content)
            if owner is None:
                return found
            kind, name = self._by_name.get(owner[0]), owner[1]
            content = self._get(kind.path(found.namespace, name)) if kind is not None and _is_name(name) else None
            if kind is None or content is None:
                return Observed(
                    standing=Standing.MANAGED,
                    detail=f"{found.kind.name}: {owner[0]} {owner[1]} controls it, which is not among the kinds in use",
                )
            found = Found(kind, found.namespace, name, content)
        return Observed(standing=Standing.MANAGED, detail=f"{found.kind.name}: too many owners, one above the other")

    def _get(self, path: str) -> dict[str, Any] | None:
        """An object, None where there is none. Raises NotAnswered."""
        try:
            answer = self._http.get(path, headers=self._bearer())
            if answer.status_code == 404:
                return None
            content = answer.json() if answer.status_code == 200 else None
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise NotAnswered(f"the API server does not answer ({type(error).__name__})") from None
        if not isinstance(content, dict):
            raise NotAnswered(f"the API server answered {answer.status_code} to a GET")
        return content

    def _patch(self, found: Found, patch: Patch, *, dry_run: bool) -> Receipt:
        version = found.content.get("metadata", {}).get("resourceVersion")
        body = {**patch, "metadata": {**patch.get("metadata", {}), "resourceVersion": version}}
        path = found.kind.path(found.namespace, found.name) + ("/scale" if found.kind.by_scale else "")
        query = {"fieldManager": "emberwatch", **({"dryRun": "All"} if dry_run else {})}
        try:
            headers = {"content-type": MERGE_PATCH, **self._bearer()}
            answer = self._http.patch(path, params=query, json=body, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, OSError) as error:
            return Receipt(outcome=Outcome.RETRY, detail=f"no connection to the API server ({type(error).__name__})")
        except httpx.HTTPError as error:
            return Receipt(outcome=Outcome.AMBIGUOUS, detail=f"no answer of the API server ({type(error).__name__})")
        return _read(answer, found)

    def _bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._token_file.read_text(encoding='utf-8').strip()}"}


def _read(answer: httpx.Response, found: Found) -> Receipt:
    status = answer.status_code
    if status == 200:
        return Receipt(outcome=Outcome.DELIVERED, reference=_reference(found))
    detail = f"the API server answered {status}: {_message(answer)}"[:LONGEST_REASON]
    if status == 409:
        return Receipt(outcome=Outcome.RETRY, detail="it was changed as it was looked at; it is looked at again")
    if status == 429:
        wait_s = retry_after_s(answer.headers.get("retry-after"), datetime.now(UTC))
        return Receipt(outcome=Outcome.RETRY, retry_after_s=wait_s, detail=detail)
    if status >= 500:
        return Receipt(outcome=Outcome.AMBIGUOUS, detail=detail)
    return Receipt(outcome=Outcome.REFUSED, detail=detail)


def _message(answer: httpx.Response) -> str:
    """The server's own words: the field `message` of a Status."""
    try:
        said = answer.json().get("message", "")
    except (ValueError, AttributeError):
        return ""
    return " ".join(str(said).split())


def _reference(found: Found) -> str:
    return f"{found.kind.name}/{found.namespace}/{found.name}"


def _is_name(name: str) -> bool:
    """Whether it is a name that Kubernetes can hold, and nothing that would lead to another path."""
    letters = name.replace("-", "").replace(".", "")
    return 0 < len(name) <= 253 and letters.isascii() and letters.isalnum() and name == name.lower()
