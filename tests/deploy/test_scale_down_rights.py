"""The rights that are handed out are those that scaling down needs: no fewer, and no more."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from alerts.notices import Outcome
from alerts.targets.kubernetes_kinds import KINDS
from console.fakes.kubernetes import FakeKubernetes
from tests.alerts.targets.test_kubernetes_target import APPS, CHAT, KEDA, KNATIVE, KSERVE, NOTEBOOK, back, stop, target

FILE = Path(__file__).parents[2] / "deploy" / "kubernetes" / "scale-down.yaml"
ROLES = [one for one in YAML(typ="safe").load_all(FILE.read_text()) if one["kind"] == "Role"]
OF_APPS, OF_OWNERS = ROLES
OBJECTS = {
    "Deployment": (f"{APPS}/deployments/chat", {"spec": {"replicas": 2}}),
    "StatefulSet": (f"{APPS}/statefulsets/chat", {"spec": {"replicas": 2}}),
    "InferenceService": (KSERVE, {"spec": {"predictor": {"minReplicas": 2}}}),
    "Service": (
        KNATIVE,
        {"spec": {"template": {"metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "2"}}}}},
    ),
    "ScaledObject": (KEDA, {"spec": {"scaleTargetRef": {"name": "chat"}}}),
    "Notebook": (NOTEBOOK, {"spec": {}}),
}


def allowed(*roles: dict) -> set[tuple[str, str]]:
    """Verbs and resources as the fake counts them; a list is a GET as well."""
    return {
        ("PATCH" if verb == "patch" else "GET", f"{group}/{resource}")
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.mark.parametrize("kind", KINDS)
def test_with_the_rights_of_the_file_each_kind_goes_down_and_back(tmp_path, kind):
    roles = (OF_APPS,) if kind in ("Deployment", "StatefulSet") else (OF_APPS, OF_OWNERS)
    api = FakeKubernetes(may=allowed(*roles))
    api.put(f"{APPS}/deployments/chat", {"spec": {"replicas": 2}})
    path, content = OBJECTS[kind]
    api.put(path, content)
    there = target(api, tmp_path, kinds=(kind,))
    replicas = there.observe(CHAT).replicas

    assert stop(there, replicas).outcome is Outcome.DELIVERED
    assert there.observe(CHAT).replicas == 0
    assert back(there, replicas).outcome is Outcome.DELIVERED
    assert there.observe(CHAT).replicas == replicas


def test_no_right_goes_beyond_looking_and_patching_what_is_scaled():
    rights = allowed(OF_APPS, OF_OWNERS)

    assert {verb for role in ROLES for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "patch"}
    assert {resource for verb, resource in rights if verb == "PATCH"} == {
        f"{kind.api.partition('/')[0]}/{kind.plural}{'/scale' if kind.by_scale else ''}" for kind in KINDS.values()
    }
