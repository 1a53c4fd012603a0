"""Scaling down in Kubernetes: the right object, nothing that is protected, exactly back, and never twice."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from alerts.notices import Outcome
from alerts.scale_down import Action, ActionStep, Mode, Observed, Standing
from alerts.targets.kubernetes import KubernetesTarget
from console.fakes.kubernetes import TOKEN, FakeKubernetes

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CHAT = "prod/llm/chat"
APPS = "/apis/apps/v1/namespaces/llm"
DEPLOYMENT = f"{APPS}/deployments/chat"
KSERVE = "/apis/serving.kserve.io/v1beta1/namespaces/llm/inferenceservices/chat"
KNATIVE = "/apis/serving.knative.dev/v1/namespaces/llm/services/chat"
KEDA = "/apis/keda.sh/v1alpha1/namespaces/llm/scaledobjects/chat-scaler"
NOTEBOOK = "/apis/kubeflow.org/v1/namespaces/llm/notebooks/chat"
ALL = ("InferenceService", "Service", "ScaledObject", "Notebook", "Deployment", "StatefulSet")
OWNED = {"ownerReferences": [{"controller": True, "kind": "InferenceService", "name": "chat"}]}


def target(api: FakeKubernetes, folder: Path, **more) -> KubernetesTarget:
    (folder / "token").write_text(f"{TOKEN}\n")
    given = {"cluster": "prod", "namespaces": ["llm"], "kinds": ALL, "ca_file": None, "clock": lambda: NOW, **more}
    return KubernetesTarget(url="https://api.test", token_file=folder / "token", transport=api, **given)


def action(replicas: int = 4) -> Action:
    return Action(
        action_id="act_a", incident_id="inc_a", workload=CHAT, team="chat", mode=Mode.AUTO, step=ActionStep.EXECUTED,
        at=NOW, usd_per_hour=8.0, replicas_from=replicas,
    )  # fmt: skip


def of_size(replicas: int, **metadata) -> dict:
    return {"metadata": metadata, "spec": {"replicas": replicas}}


def stop(there: KubernetesTarget, replicas: int = 4):
    return there.execute(action(replicas), dry_run=False, now=NOW)


def back(there: KubernetesTarget, replicas: int = 4):
    return there.undo(action(replicas), dry_run=False, now=NOW)


def test_a_deployment_goes_to_zero_and_exactly_back_through_its_scale_alone(tmp_path):
    api = FakeKubernetes(may={("GET", "apps/deployments"), ("PATCH", "apps/deployments/scale")})
    api.put(DEPLOYMENT, of_size(4))
    api.objects[DEPLOYMENT]["metadata"]["generation"] = 7
    with_rights = target(api, tmp_path, kinds=("Deployment",))

    assert with_rights.observe(CHAT) == Observed(standing=Standing.FREE, replicas=4, generation=7, detail="Deployment")
    assert stop(with_rights).outcome is Outcome.DELIVERED
    assert api.replicas(DEPLOYMENT) == 0
    assert api.rehearsals == 1
    assert back(with_rights).outcome is Outcome.DELIVERED
    assert api.replicas(DEPLOYMENT) == 4
    assert [patch for _, patch in api.patches] == [
        {"metadata": {}, "spec": {"replicas": 0}},
        {"metadata": {}, "spec": {"replicas": 4}},
    ]


def test_the_right_path_of_a_deployment_is_found_by_group_and_plural(tmp_path):
    api = FakeKubernetes(may={("GET", "apps/deployments")})
    api.put(DEPLOYMENT, of_size(4))

    receipt = stop(target(api, tmp_path, kinds=("Deployment",)))

    assert receipt.outcome is Outcome.REFUSED
    assert "cannot patch" in receipt.detail
    assert api.patches == []


@pytest.mark.parametrize(
    ("path", "before", "stopped"),
    [
        (KSERVE, {"spec": {"predictor": {"minReplicas": 2}}}, {"spec": {"predictor": {"minReplicas": 0}}}),
        (
            KNATIVE,
            {"spec": {"template": {"metadata": {"annotations": {"autoscaling.knative.dev/minScale": "2"}}}}},
            {"spec": {"template": {"metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "0"}}}}},
        ),
        (f"{APPS}/statefulsets/chat", {"spec": {"replicas": 2}}, {"spec": {"replicas": 0}}),
    ],
    ids=["KServe", "Knative", "StatefulSet"],
)
def test_each_kind_is_stopped_by_the_knob_that_its_controller_obeys(tmp_path, path, before, stopped):
    api = FakeKubernetes()
    api.put(path, before)
    there = target(api, tmp_path)

    assert there.observe(CHAT).replicas == 2
    assert stop(there, 2).outcome is Outcome.DELIVERED
    assert {"spec": api.objects[path]["spec"]} == stopped
    assert there.find(action(2), undone=False).outcome is Outcome.DELIVERED
    assert back(there, 2).outcome is Outcome.DELIVERED
    assert there.observe(CHAT).replicas == 2
    assert there.find(action(2), undone=True).outcome is Outcome.DELIVERED


def test_what_keda_scales_is_paused_at_zero_and_released(tmp_path):
    api = FakeKubernetes()
    api.put(DEPLOYMENT, of_size(3))
    api.put(KEDA, {"spec": {"scaleTargetRef": {"name": "chat"}, "minReplicaCount": 0}})
    there = target(api, tmp_path)

    assert there.observe(CHAT).replicas == 3
    assert stop(there, 3).outcome is Outcome.DELIVERED
    assert api.objects[KEDA]["metadata"]["annotations"] == {"autoscaling.keda.sh/paused-replicas": "0"}
    assert api.replicas(DEPLOYMENT) == 3  # KEDA's to change
    assert back(there, 3).outcome is Outcome.DELIVERED
    assert api.objects[KEDA]["metadata"]["annotations"] == {}


def test_a_notebook_is_stopped_and_started_as_its_controller_does(tmp_path):
    api = FakeKubernetes()
    api.put(NOTEBOOK, {"spec": {}})
    there = target(api, tmp_path)

    assert (there.observe(CHAT).replicas, stop(there, 1).outcome) == (1, Outcome.DELIVERED)
    assert api.objects[NOTEBOOK]["metadata"]["annotations"] == {"kubeflow-resource-stopped": "2026-11-24T12:00:00Z"}
    assert (there.observe(CHAT).replicas, back(there, 1).outcome) == (0, Outcome.DELIVERED)
    assert there.observe(CHAT).replicas == 1


def test_the_top_owner_is_scaled_never_the_leaf(tmp_path):
    api = FakeKubernetes()
    api.put(f"{APPS}/deployments/chat-predictor", of_size(2, **OWNED))
    api.put(KSERVE, {"spec": {"predictor": {"minReplicas": 2}}})
    there = target(api, tmp_path)
    one = Action(**{**{n: getattr(action(2), n) for n in Action.__struct_fields__}, "workload": f"{CHAT}-predictor"})

    assert there.execute(one, dry_run=False, now=NOW).reference == "InferenceService/llm/chat"
    assert api.replicas(f"{APPS}/deployments/chat-predictor") == 2


def test_what_is_owned_by_a_kind_that_is_not_in_use_is_left_alone(tmp_path):
    api = FakeKubernetes()
    api.put(DEPLOYMENT, of_size(2, **OWNED))
    there = target(api, tmp_path, kinds=("Deployment",))

    assert there.observe(CHAT).standing is Standing.MANAGED
    assert stop(there).outcome is Outcome.REFUSED
    assert api.patches == []


@pytest.mark.parametrize(
    ("metadata", "standing"),
    [
        ({"annotations": {"emberwatch.io/keep": "true"}}, Standing.PROTECTED),
        ({"annotations": {"emberwatch.io/keep": "2026-12-01"}}, Standing.PROTECTED),
        ({"annotations": {"emberwatch.io/keep": "2026-11-01"}}, Standing.FREE),
        ({"annotations": {"emberwatch.io/keep": "until friday"}}, Standing.PROTECTED),
        ({"annotations": {"emberwatch.io/keep": "false"}}, Standing.FREE),
        ({"annotations": {"karpenter.sh/do-not-disrupt": "30m"}}, Standing.PROTECTED),
        ({"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}}, Standing.PROTECTED),
        ({"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "true"}}, Standing.FREE),
        ({"labels": {"argocd.argoproj.io/instance": "llm"}}, Standing.MANAGED),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "llm:apps"}}, Standing.MANAGED),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "llm"}}, Standing.MANAGED),
        ({}, Standing.FREE),
    ],
)  # fmt: skip
def test_what_its_owner_or_git_keeps_is_not_stopped_but_may_always_come_back(tmp_path, metadata, standing):
    api = FakeKubernetes()
    api.put(DEPLOYMENT, of_size(4, **metadata))
    there = target(api, tmp_path)

    assert there.observe(CHAT).standing is standing
    assert stop(there).outcome is (Outcome.DELIVERED if standing is Standing.FREE else Outcome.REFUSED)
    assert api.replicas(DEPLOYMENT) == (0 if standing is Standing.FREE else 4)
    api.objects[DEPLOYMENT]["spec"]["replicas"] = 0
    assert back(there).outcome is Outcome.DELIVERED
    assert api.replicas(DEPLOYMENT) == 4


def test_the_template_of_the_pods_protects_too(tmp_path):
    api = FakeKubernetes()
    marks = {"template": {"metadata": {"annotations": {"karpenter.sh/do-not-disrupt": "true"}}}}
    api.put(DEPLOYMENT, {"spec": {"replicas": 4, **marks}})

    assert target(api, tmp_path).observe(CHAT).standing is Standing.PROTECTED


def test_git_can_be_overruled_by_a_setting(tmp_path):
    api = FakeKubernetes()
    api.put(DEPLOYMENT, of_size(4, labels={"argocd.argoproj.io/instance": "llm"}))

    assert target(api, tmp_path, gitops_too=True).observe(CHAT).standing is Standing.FREE


@pytest.mark.parametrize(
    "workload", ["other/llm/chat", "prod/kube-system/chat", "prod/llm/absent", "prod/llm/../x", "prod/llm/", "prod//"]
)
def test_what_lies_outside_or_is_not_there_is_absent(tmp_path, workload):
    api = FakeKubernetes()
    api.put(DEPLOYMENT, of_size(4))
    one = Action(**{**{n: getattr(action(), n) for n in Action.__struct_fields__}, "workload": workload})
    there = target(api, tmp_path)

    assert there.observe(workload).standing is Standing.ABSENT
    assert there.execute(one, dry_run=False, now=NOW).outcome is Outcome.REFUSED


def test_a_rehearsal_changes_nothing(tmp_path):
    api = FakeKubernetes()
    api.put(DEPLOYMENT, of_size(4))

    assert target(api, tmp_path).execute(action(), dry_run=True, now=NOW).outcome is Outcome.DELIVERED
    assert (api.rehearsals, api.patches) == (1, [])


def test_an_answer_that_was_lost_is_looked_for_and_nothing_is_done_twice(tmp_path):
    api = FakeKubernetes()
    api.put(DEPLOYMENT, of_size(4))
    there = target(api, tmp_path)
    api.fail_next = "lost"

    assert stop(there).outcome is Outcome.AMBIGUOUS
    assert there.find(action(), undone=False).outcome is Outcome.DELIVERED
    assert stop(there).detail == "it was so already"
    assert len(api.patches) == 1


@pytest.mark.parametrize(
    ("failure", "outcome", "wait_s"),
    [
        (409, Outcome.RETRY, None),
        (429, Outcome.RETRY, 7.0),
        (500, Outcome.AMBIGUOUS, None),
        (503, Outcome.AMBIGUOUS, None),
        (403, Outcome.REFUSED, None),
        (422, Outcome.REFUSED, None),
    ],
)
def test_each_answer_of_the_server_is_read_for_what_it_says(tmp_path, failure, outcome, wait_s):
    api = FakeKubernetes()
    api.put(DEPLOYMENT, of_size(4))
    api.fail_next = failure
    there = target(api, tmp_path)
    receipt = stop(there)

    assert (receipt.outcome, receipt.retry_after_s) == (outcome, wait_s)
    assert there.find(action(), undone=False).outcome is Outcome.RETRY
    assert TOKEN not in receipt.detail


def test_a_server_that_is_away_or_forbids_to_look_is_nothing_known(tmp_path):
    api, blind = FakeKubernetes(), FakeKubernetes(may=set())
    api.away = True

    for there in (target(api, tmp_path), target(blind, tmp_path)):
        assert there.observe(CHAT) is None
        assert stop(there).outcome is Outcome.RETRY
        assert there.find(action(), undone=False).outcome is Outcome.AMBIGUOUS


def test_the_token_is_read_anew_for_it_rotates(tmp_path):
    api = FakeKubernetes()
    api.put(DEPLOYMENT, of_size(4))
    there = target(api, tmp_path)
    (tmp_path / "token").write_text("an-old-one")
    assert there.observe(CHAT) is None

    (tmp_path / "token").write_text(TOKEN)
    assert there.observe(CHAT) is not None
    (tmp_path / "token").unlink()
    assert there.observe(CHAT) is None
    assert stop(there).outcome is Outcome.RETRY


def test_a_change_by_someone_else_between_the_look_and_the_order_is_not_overwritten(tmp_path):
    api = FakeKubernetes()
    api.put(DEPLOYMENT, of_size(4))
    handle = api.handle_request

    def meddling(request):
        answer = handle(request)
        if request.method == "GET":
            api.put(DEPLOYMENT, of_size(6))
        return answer

    api.handle_request = meddling  # type: ignore[method-assign]

    assert stop(target(api, tmp_path)).outcome is Outcome.RETRY
    assert api.replicas(DEPLOYMENT) == 6
