"""Whose a series is, from what its labels and its resource say."""

import pytest

from streams.formats.aliases import RANKS, VERSION, Slot, Unit, kind_of, most_of, plain, table
from streams.formats.owners import Unattributable, accelerator, owner_of_pod, server

UUID = {"UUID": "GPU-1"}


@pytest.mark.parametrize(
    ("pod", "owner"),
    [
        ("llama70b-7d9c8b6f54-x2x4z", "llama70b"),
        ("llama70b-0", "llama70b"),
        ("train-big-3-x2x4z", "train-big"),
        ("nightly-28912340-x2x4z", "nightly"),
        ("dcgm-x2x4z", "dcgm"),
        ("notebook", "notebook"),
        ("my-api", "my-api"),
        ("model-v2", "model-v2"),
        ("chat-predictor-00003-deployment-6f6b9c7d8f-bcdfg", "chat-predictor-00003-deployment"),
    ],
)
def test_a_pod_leads_to_what_made_it(pod, owner):
    assert owner_of_pod(pod) == owner


@pytest.mark.parametrize(
    ("labels", "resource", "workload"),
    [
        ({"namespace": "llm", "pod": "chat-0"}, {"k8s.cluster.name": "eu"}, "eu/llm/chat"),
        ({"namespace": "llm", "pod": "chat-0", "cluster": "us"}, {"k8s.cluster.name": "eu"}, "us/llm/chat"),
        ({"pod_namespace": "llm", "pod_name": "chat-0"}, {}, "home/llm/chat"),
        ({"exported_namespace": "llm", "exported_pod": "chat-0", "namespace": "gpu", "pod": "x"}, {}, "home/llm/chat"),
        ({"exported_namespace": "", "exported_pod": "", "namespace": "gpu", "pod": "x"}, {}, "home//"),
        ({"namespace": "", "pod": ""}, {"k8s.pod.name": "dcgm-exporter-x2x4z"}, "home//"),
        ({"namespace": "gpu", "pod": "nvidia-dcgm-exporter-x2x4z"}, {}, "home//"),
        ({"namespace": "gpu", "pod": "monitor-x2x4z", "container": "dcgm-exporter"}, {}, "home//"),
        ({"hpc_job": "4711"}, {}, "home/slurm/4711"),
        ({}, {"k8s.namespace.name": "llm", "k8s.pod.name": "chat-0", "service.name": "chat"}, "home/llm/chat"),
        ({}, {"k8s.namespace.name": "llm", "k8s.pod.name": "a-0", "k8s.deployment.name": "b"}, "home/llm/b"),
        ({}, {"k8s.pod.name": "collector-0", "service.name": "dcgm-exporter"}, "home//"),
        ({}, {}, "home//"),
        ({"namespace": "a/b", "pod": "c/d"}, {}, "home/a.b/c.d"),
    ],
)
def test_to_whom_an_accelerator_is_given(labels, resource, workload):
    assert accelerator({**UUID, **labels}, resource, "dcgm", "home").workload == workload


@pytest.mark.parametrize(
    ("labels", "resource", "device", "node"),
    [
        ({"UUID": "GPU-1", "Hostname": "n1"}, {}, "GPU-1", "n1"),
        ({"gpu_uuid": "GPU-1", "hostname": "n1"}, {}, "GPU-1", "n1"),
        ({"UUID": "GPU-1", "GPU_I_ID": "7", "GPU_I_PROFILE": "1g.10gb"}, {}, "GPU-1/gi-7", None),
        ({"UUID": "GPU-1", "GPU_I_ID": ""}, {}, "GPU-1", None),
        (
            {"uuid": "604ac76c-d9cf-fef3-62e9-d92044ab6e52", "instance": "n1:9835"},
            {},
            "GPU-604ac76c-d9cf-fef3-62e9-d92044ab6e52",
            "n1",
        ),
        ({"index": "3", "host": "n1"}, {}, "n1/3", "n1"),
        ({"gpu": "0"}, {"host.name": "n2"}, "n2/0", "n2"),
        ({"hw.id": "0"}, {"host.name": "n2"}, "n2/0", "n2"),
    ],
)
def test_which_accelerator_it_is(labels, resource, device, node):
    who = accelerator(labels, resource, "dcgm", "home")
    assert (who.thing, who.node) == (f"gpu|{device}", node)


def test_an_accelerator_without_a_name_is_not_made_up():
    with pytest.raises(Unattributable, match="no label names the accelerator"):
        accelerator({"gpu": "0"}, {}, "dcgm", "home")


@pytest.mark.parametrize(
    ("labels", "resource", "workload"),
    [
        ({"namespace": "llm", "pod": "vllm-7d9c8b6f54-x2x4z"}, {}, "home/llm/vllm"),
        ({}, {"k8s.namespace.name": "llm", "k8s.deployment.name": "vllm", "k8s.pod.name": "x"}, "home/llm/vllm"),
        ({"job": "monitoring/vllm", "instance": "llm-0:8000"}, {}, "home//vllm"),
        ({}, {"service.name": "chat", "service.namespace": "search"}, "home/search/chat"),
        ({}, {"service.name": "unknown_service:python"}, "home//"),
        ({"namespace": "of-models"}, {"service.name": "triton"}, "home//triton"),
    ],
)
def test_whose_a_server_is(labels, resource, workload):
    assert server({"model_name": "m", **labels}, resource, "vllm", "home").workload == workload


@pytest.mark.parametrize(
    ("labels", "provider", "model"),
    [
        ({"gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-5"}, "openai", "gpt-5"),
        ({"gen_ai.system": "az.ai.openai", "gen_ai.response.model": "gpt-5-x"}, "azure", "gpt-5-x"),
        ({"gen_ai.provider.name": "gcp.vertex_ai", "gen_ai.request.model": "g"}, "google", "g"),
        ({"gen_ai.request.model": "g"}, "unknown", "g"),
    ],
)
def test_who_provides_a_model(labels, provider, model):
    who = server(labels, {"service.name": "chat"}, "genai", "home")
    assert (who.provider, who.model) == (provider, model)


def test_a_team_is_taken_from_the_labels_and_private_ones_are_not_kept():
    labels = {
        "team_alias": "search",
        "api_provider": "openai",
        "model": "m",
        "user_email": "a@b",
        "hashed_api_key": "k",
    }
    who = server(labels, {}, "litellm", "home")
    assert (who.team, who.labels) == ("search", {"api_provider": "openai", "model": "m"})


def test_the_table_of_aliases_is_whole():
    assert VERSION
    for name, aliases in table().items():
        assert name == plain(name)
        for alias in aliases:
            assert alias.slot > Slot.INFO or alias.system in RANKS
            assert most_of(alias.unit) > 0
            assert kind_of(alias.unit) in (Unit.RATIO, Unit.BYTES, Unit.W, Unit.COUNT, Unit.GAUGE, Unit.USD)


@pytest.mark.parametrize(
    ("name", "slots"),
    [
        ("DCGM_FI_DEV_GPU_UTIL", [Slot.UTIL]),
        ("vllm_prompt_tokens_total", [Slot.INPUT]),
        ("vllm:prompt_tokens", [Slot.INPUT]),
        ("hw.gpu.memory.usage", [Slot.USED]),
        ("nv_trt_llm_request_metrics", [Slot.RUNNING, Slot.WAITING]),
        ("vllm:iteration_tokens_total_sum", []),
        ("DCGM_FI_DEV_XID_ERRORS", []),
    ],
)
def test_names_of_any_dialect_are_found(name, slots):
    assert [alias.slot for alias in table().get(plain(name), ())] == slots


def test_attributes_of_the_resource_are_labels_for_the_rules():
    labels, resource = {"UUID": "GPU-1", "tier": "a"}, {"deployment.environment": "prod", "tier": "b"}
    assert accelerator(labels, resource, "dcgm", "home").labels == {"deployment_environment": "prod", "tier": "a"}
