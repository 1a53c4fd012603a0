"""Whose is it: from the labels of a metric and of its resource to cluster, workload, team, accelerator and model."""

import re
from collections.abc import Mapping

from msgspec import Struct

from streams.formats.aliases import plain

Labels = Mapping[str, str]

_SAFE = "[bcdfghjklmnpqrstvwxz2456789]"  # what Kubernetes makes random names of
_OWNERS = (
    re.compile(rf"(.+)-\d{{8,10}}-{_SAFE}{{5}}"),  # CronJob: the moment, and the pod's own letters
    re.compile(rf"(.+)-{_SAFE}{{6,10}}-{_SAFE}{{5}}"),  # Deployment: its ReplicaSet's hash, and the pod's own letters
    re.compile(rf"(.+)-\d{{1,5}}-{_SAFE}{{5}}"),  # indexed Job
    re.compile(rf"(.+)-{_SAFE}{{5}}"),  # Job, DaemonSet, ReplicaSet
    re.compile(r"(.+)-\d{1,5}"),  # StatefulSet
)
_BARE_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_EXPORTERS = ("dcgm-exporter", "dcgm_exporter", "gpu-exporter", "gpu_exporter", "nvidia-smi", "node-exporter")
_NOT_NAMES = frozenset({"", "None", "none", "null"})

_CLUSTER = ("k8s_cluster_name", "cluster", "cluster_name")
_POD = ("exported_pod", "pod", "pod_name")
_NAMESPACE = ("exported_namespace", "namespace", "pod_namespace", "k8s_namespace_name")
_OWNER = (
    "k8s_cronjob_name",
    "k8s_job_name",
    "k8s_deployment_name",
    "k8s_statefulset_name",
    "k8s_daemonset_name",
    "serving_kserve_io_inferenceservice",
    "isvc_name",
    "inferenceservice",
)
_TEAM = ("team", "label_team", "k8s_pod_label_team", "k8s_pod_labels_team", "k8s_namespace_labels_team", "team_alias")
_NODE = ("hostname", "Hostname", "k8s_node_name", "node", "kubernetes_node", "host_name", "host", "instance")
_INSTANCE = ("service_instance_id", "instance", "k8s_pod_name", "pod", "host_name", "host")
_DEVICE = ("UUID", "gpu_uuid", "uuid", "hw_id")
_INDEX = ("gpu", "index", "minor_number")
_GPU_MODEL = ("modelName", "model_name", "hw_model", "gpu_model", "name", "hw_name")
_MODEL = {
    "genai": ("gen_ai_response_model", "gen_ai_request_model"),
    "litellm": ("model",),
    "triton": ("model",),
    "seldon": ("model",),
}
_PROVIDER = ("gen_ai_provider_name", "gen_ai_system")
_PROVIDERS = {
    "aws.bedrock": "aws",
    "az.ai.openai": "azure",
    "az.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "gcp.gemini": "google",
    "gcp.vertex_ai": "google",
    "gcp.gen_ai": "google",
    "vertex_ai": "google",
    "gemini": "google",
    "bedrock": "aws",
    "mistral_ai": "mistral",
    "x_ai": "x-ai",
    "xai": "x-ai",
}
_NAMED = frozenset(
    {
        *_CLUSTER, *_POD, *_NAMESPACE, *_OWNER, *_TEAM, *_NODE, *_INSTANCE, *_DEVICE, *_INDEX, "modelName",
        "model_name", "job", "service_name", "exported_container", "device", "pci_bus_id", "GPU_I_ID",
        "name", "gpu_model", "hw_model", "hw_name",
        "DCGM_FI_DRIVER_VERSION",
    }
)  # fmt: skip
_LITELLM = ("hashed_api_key", "team", "user", "end_user")
_PRIVATE = frozenset({*_LITELLM, "user_email", "client_ip", "user_agent"})
MOST_LABELS = 32
MOST_BYTES = 256


class Who(Struct, frozen=True, array_like=True, gc=False):
    """What a series is of. `thing` is the accelerator, or the server and model, that its values belong together by."""

    thing: str
    workload: str
    team: str | None
    node: str | None
    model: str | None
    provider: str | None
    labels: dict[str, str] | None


class Unattributable(ValueError):
    """Labels that name nothing; says in words what is wrong with them."""


def accelerator(labels: Labels, resource: Labels, system: str, default_cluster: str) -> Who:
    """The accelerator of a series, and to whom it is given. Raises Unattributable."""
    own, around = _plainly(labels), _plainly(resource)
    known = {**around, **own}
    node = _pick(known, _NODE) or _pick(around, ("service_instance_id",))
    device = _pick(known, _DEVICE)
    if device is None:
        index = _pick(own, _INDEX)
        if index is None or node is None:
            raise Unattributable(
                "no label names the accelerator: UUID, gpu_uuid, uuid or hw.id, or an index and a host"
            )
        device = f"{_host(node)}/{index}"
    elif _BARE_UUID.fullmatch(device):
        device = f"GPU-{device}"
    elif not device.startswith(("GPU-", "MIG-")) and node is not None:
        device = f"{_host(node)}/{device}"  # such a name is not one in the whole fleet
    if instance := _pick(own, ("GPU_I_ID",)):
        device = f"{device}/gi-{instance}"
    cluster = _pick(own, _CLUSTER) or _pick(around, _CLUSTER) or default_cluster
    model = _pick(own, _GPU_MODEL)
    return _who(
        f"gpu|{device}",
        workload=f"{_part(cluster)}/{_holder(own, around, system)}",
        team=_pick(known, _TEAM),
        node=None if node is None else _host(node),
        model=model,
        provider=None,
        labels=own | {key: value for key, value in around.items() if key not in own},
    )


def _holder(own: Labels, around: Labels, system: str) -> str:
    """`namespace/name` of what holds an accelerator; `/` where nothing does."""
    for pod, namespace in (("exported_pod", "exported_namespace"), ("pod", "namespace"), ("pod_name", "pod_namespace")):
        if pod in own:
            name = own[pod]
            if name in _NOT_NAMES or _exports(name) or _exports(own.get("container", "")):
                return "/"
            return f"{_part(own.get(namespace, ''))}/{_part(owner_of_pod(name))}"
    if job := own.get("hpc_job"):
        return f"slurm/{_part(job)}"
    if system == "triton":
        return _server(own, around)
    pod = around.get("k8s_pod_name", "")
    if pod and not _exports(pod) and not _exports(around.get("service_name", "")):
        return f"{_part(around.get('k8s_namespace_name', ''))}/{_part(_pick(around, _OWNER) or owner_of_pod(pod))}"
    return "/"


def _exports(name: str) -> bool:
    return any(word in name for word in _EXPORTERS)


def server(labels: Labels, resource: Labels, system: str, default_cluster: str) -> Who:
    """The server of a model, or the client of one, that a series is of. Raises Unattributable."""
    own, around = _plainly(labels), _plainly(resource)
    known = {**around, **own}
    model = _pick(own, _MODEL.get(system, ("model_name", "model")))
    provider = "self-hosted"
    if system in ("genai", "litellm"):
        stated = _pick(own, _PROVIDER if system == "genai" else ("api_provider",))
        provider = "unknown" if stated is None else _PROVIDERS.get(stated.lower(), stated)
    cluster = _pick(own, _CLUSTER) or _pick(around, _CLUSTER) or default_cluster
    place = _server(own, around)
    team = _pick(known, _TEAM)
    which = model or ""
    if system == "litellm":
        key = _pick(own, ("team_alias", "api_key_alias", "end_user"))
        place = f"{place.partition('/')[0]}/{_part(key)}" if key else place
        which = f"failed {own.get('requested_model', '')}" if provider == "unknown" else own.get("model_id") or which
        which = "|".join(
            (which, *(own.get(name, "") for name in _LITELLM))
        )  # of one user: a cost of 0 is of one series
    return _who(
        "|".join(("use", cluster, place, provider, which, _pick(known, _INSTANCE) or "")),
        workload=f"{_part(cluster)}/{place}",
        team=team,
        node=None,
        model=model,
        provider=provider,
        labels=own | {key: value for key, value in around.items() if key not in own},
    )


def _server(own: Labels, around: Labels) -> str:
    """`namespace/name` of a program: its owner in Kubernetes, else its service or job."""
    pod = _pick(own, _POD) or around.get("k8s_pod_name")
    named = _pick(around, _OWNER) or _pick(own, _OWNER)
    namespace = _pick(own, _NAMESPACE) or around.get("k8s_namespace_name") if pod or named else None
    if namespace is None:
        namespace = _pick(around, ("k8s_namespace_name", "service_namespace")) or ""
    name = named or (owner_of_pod(pod) if pod else None)
    if name is None:
        service = _pick(around, ("service_name",)) or _pick(own, ("exported_job", "job", "service_name"))
        name = None if service is None or service.startswith("unknown_service") else service.rpartition("/")[2]
    return f"{_part(namespace)}/{_part(name or '')}"


def owner_of_pod(pod: str) -> str:
    """What made a pod, from its name alone: a Deployment, StatefulSet, Job, CronJob or DaemonSet; else the pod."""
    for form in _OWNERS:
        if match := form.fullmatch(pod):
            return match[1]
    return pod


def _who(
    thing: str,
    *,
    workload: str,
    team: str | None,
    node: str | None,
    model: str | None,
    provider: str | None,
    labels: Labels,
) -> Who:
    for what, text, most in (
        ("accelerator or server", thing, 1000), ("workload", workload, 512), ("team", team or "", 256),
        ("node", node or "", 256), ("model", model or "", 256), ("provider", provider or "", 256),
    ):  # fmt: skip
        if len(text) > most:
            raise Unattributable(f"the name of its {what} has {len(text)} characters, the limit is {most}")
        if any(ord(letter) < 32 for letter in text):
            raise Unattributable(f"the name of its {what} holds a control character")
    if thing.startswith("gpu|") and len(thing) > MOST_BYTES:
        raise Unattributable(f"the name of its accelerator has {len(thing)} characters, the limit is {MOST_BYTES - 4}")
    rest = {
        key: value
        for key, value in labels.items()
        if key not in _NAMED
        and key not in _PRIVATE
        and value not in _NOT_NAMES
        and len(key) <= 64
        and len(value) <= MOST_BYTES
    }
    kept = dict(sorted(list(rest.items())[:MOST_LABELS]))
    return Who(thing, workload, team, node, model, provider, kept or None)


def _plainly(labels: Labels) -> dict[str, str]:
    return {name.replace(".", "_").replace("/", "_").replace("-", "_"): value for name, value in labels.items()}


def _pick(labels: Labels, names: tuple[str, ...]) -> str | None:
    return next((labels[name] for name in names if labels.get(name, "") not in _NOT_NAMES), None)


def _host(node: str) -> str:
    host, colon, port = node.rpartition(":")
    return host if colon and port.isdigit() else node


def _part(name: str) -> str:
    return name.replace("/", ".")


def matches(labels: Labels, only: tuple[str, str]) -> bool:
    """Whether an alias is meant for a series: its label has the value. With a `?` after the label it may be absent."""
    key, value = only
    found = next((known for name, known in labels.items() if plain(name) == key.removesuffix("?")), None)
    return found == value or (found is None and key.endswith("?"))
