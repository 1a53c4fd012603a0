"""The kinds of Kubernetes objects that can be scaled down: where each lies, how large it is, and what stops it. Pure.

The knob of each is the one that its own controller obeys: patching a Deployment that something else owns would only be
set back. What is read and written here is documented by the projects that define the kinds.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from alerts.scale_down import Observed, Standing

Object = Mapping[str, Any]
Patch = dict[str, Any]

KEEP = "emberwatch.io/keep"  # "true", or a date until which it is kept
DISRUPT = "karpenter.sh/do-not-disrupt"
EVICT = "cluster-autoscaler.kubernetes.io/safe-to-evict"
PAUSED = "autoscaling.keda.sh/paused-replicas"
STOPPED = "kubeflow-resource-stopped"
MIN_SCALE = "autoscaling.knative.dev/min-scale"
OLD_MIN_SCALE = "autoscaling.knative.dev/minScale"
GITOPS_LABELS = {
    "argocd.argoproj.io/instance": "Argo CD",
    "kustomize.toolkit.fluxcd.io/name": "Flux",
    "helm.toolkit.fluxcd.io/name": "Flux",
}
GITOPS_ANNOTATIONS = {"argocd.argoproj.io/tracking-id": "Argo CD"}


class Kind(Struct, frozen=True, kw_only=True):
    """A kind of object. `size`: its replicas, None where that is not known; `stop` and `back`: merge patches."""

    name: str
    api: str  # group and version
    plural: str
    size: Callable[[Object], int | None]
    stop: Callable[[int, datetime], Patch]  # to so many replicas
    back: Callable[[int], Patch]  # to so many replicas
    by_scale: bool = False  # through the scale subresource alone
    scales_another: bool = False  # `size` is that of a pause; without one, that of the object which it scales counts

    def path(self, namespace: str, name: str | None = None) -> str:
        """The path of an object, or of all of a namespace."""
        where = f"/apis/{self.api}/namespaces/{namespace}/{self.plural}"
        return where if name is None else f"{where}/{name}"


def annotations(one: Object) -> Mapping[str, Any]:
    """The object's own annotations."""
    return _mapping(_mapping(one.get("metadata")).get("annotations"))


def template(one: Object) -> Object:
    """The template of its pods; empty where it has none."""
    return _mapping(_mapping(one.get("spec")).get("template"))


def standing_of(one: Object, *, now: datetime, gitops_too: bool) -> tuple[Standing, str]:
    """Whether its owner, or what deploys it, stands against a change; and what it is that does."""
    for marks in (annotations(one), annotations(template(one))):
        if _kept(marks.get(KEEP), now):
            return Standing.PROTECTED, KEEP
        if str(marks.get(DISRUPT, "false")) != "false":
            return Standing.PROTECTED, DISRUPT
        if str(marks.get(EVICT, "true")) == "false":
            return Standing.PROTECTED, EVICT
    if not gitops_too:
        labels = _mapping(_mapping(one.get("metadata")).get("labels"))
        kept = {**{k: v for k, v in GITOPS_LABELS.items() if k in labels}}
        kept |= {k: v for k, v in GITOPS_ANNOTATIONS.items() if k in annotations(one)}
        if kept:
            return Standing.MANAGED, f"{next(iter(kept.values()))} keeps it in git"
    return Standing.FREE, ""


def observed(kind: Kind, one: Object, *, now: datetime, gitops_too: bool) -> Observed:
    """The object as the rules of scale-down look at it."""
    standing, why = standing_of(one, now=now, gitops_too=gitops_too)
    generation = _mapping(one.get("metadata")).get("generation")
    return Observed(
        standing=standing,
        replicas=kind.size(one),
        generation=generation if isinstance(generation, int) else None,
        detail=f"{kind.name}: {why}" if why else kind.name,
    )


def controller_of(one: Object) -> tuple[str, str] | None:
    """Kind and name of what controls the object; None where nothing does."""
    owners = _mapping(one.get("metadata")).get("ownerReferences")
    for owner in owners if isinstance(owners, list) else ():
        if isinstance(owner, dict) and owner.get("controller") is True:
            return str(owner.get("kind")), str(owner.get("name"))
    return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _kept(value: Any, now: datetime) -> bool:
    """Whether `emberwatch.io/keep` holds; what is neither a word nor a date holds for ever: it was meant to keep."""
    if value is None or str(value).lower() in ("false", ""):
        return False
    try:
        until = datetime.fromisoformat(str(value))
    except ValueError:
        return True
    return now < (until if until.tzinfo else until.replace(tzinfo=now.tzinfo))


def _count(value: Any) -> int | None:
    """A number of replicas, however it is spelt."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if value >= 0 else None
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else None


def _replicas(one: Object) -> int | None:
    return _count(_mapping(one.get("spec")).get("replicas", 1))


def _min_replicas(one: Object) -> int | None:
    return _count(_mapping(_mapping(one.get("spec")).get("predictor")).get("minReplicas", 1))


def _min_scale(one: Object) -> int | None:
    marks = annotations(template(one))
    return _count(marks.get(MIN_SCALE, marks.get(OLD_MIN_SCALE, 0)))


def _paused_replicas(one: Object) -> int | None:
    return _count(annotations(one).get(PAUSED))


def _to_replicas(count: int) -> Patch:
    return {"spec": {"replicas": count}}


def _to_min_replicas(count: int) -> Patch:
    return {"spec": {"predictor": {"minReplicas": count}}}


def _to_min_scale(count: int) -> Patch:
    return {"spec": {"template": {"metadata": {"annotations": {MIN_SCALE: str(count), OLD_MIN_SCALE: None}}}}}


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            name="InferenceService",
            api="serving.kserve.io/v1beta1",
            plural="inferenceservices",
            size=_min_replicas,
            stop=lambda count, _: _to_min_replicas(count),
            back=_to_min_replicas,
        ),
        Kind(
            name="Service",
            api="serving.knative.dev/v1",
            plural="services",
            size=_min_scale,
            stop=lambda count, _: _to_min_scale(count),
            back=_to_min_scale,
        ),
        Kind(
            name="ScaledObject",
            api="keda.sh/v1alpha1",
            plural="scaledobjects",
            size=_paused_replicas,
            stop=lambda count, _: {"metadata": {"annotations": {PAUSED: str(count)}}},
            back=lambda _: {"metadata": {"annotations": {PAUSED: None}}},
            scales_another=True,
        ),
        Kind(
            name="Notebook",
            api="kubeflow.org/v1",
            plural="notebooks",
            size=lambda one: 0 if STOPPED in annotations(one) else 1,
            stop=lambda _, now: {"metadata": {"annotations": {STOPPED: now.strftime("%Y-%m-%dT%H:%M:%SZ")}}},
            back=lambda _: {"metadata": {"annotations": {STOPPED: None}}},
        ),
        Kind(
            name="Deployment",
            api="apps/v1",
            plural="deployments",
            size=_replicas,
            stop=lambda count, _: _to_replicas(count),
            back=_to_replicas,
            by_scale=True,
        ),
        Kind(
            name="StatefulSet",
            api="apps/v1",
            plural="statefulsets",
            size=_replicas,
            stop=lambda count, _: _to_replicas(count),
            back=_to_replicas,
            by_scale=True,
        ),
    )
}
"""By name, the top owner before what it makes."""
