"""Values of many series become events: joined, counted once, and only what is known."""

from decimal import Decimal

import numpy as np
import pytest

from streams.formats.gathering import KEPT_MS
from streams.formats.sniff import Format
from tests.support.telemetry import (
    CUMULATIVE,
    DELTA,
    EXPORTER,
    GPU,
    NOON_S,
    VLLM,
    Ear,
    Metric,
    adapter,
    as_proto,
    request,
    said,
)

MODEL = {"model_name": "llama-3.3-70b"}
UTIL, POWER, USED, FREE = (
    "DCGM_FI_DEV_GPU_UTIL", "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_FB_USED", "DCGM_FI_DEV_FB_FREE",
)  # fmt: skip
OUT, IN = "vllm:generation_tokens_total", "vllm:prompt_tokens_total"


def gpu_at(second: float, util: float = 40.0) -> list[Metric]:
    at_s = NOON_S + second
    return [Metric(UTIL, util, at_s=at_s), Metric(POWER, 71.4, at_s=at_s), Metric(USED, 71233, at_s=at_s)]


def count(value: float, second: float, name: str = OUT, kind: int = CUMULATIVE, start: float = 0, **more) -> Metric:
    return Metric(name, value, more or MODEL, NOON_S + second, kind, NOON_S + start if start else 0)


def tokens(ear: Ear, *metrics: Metric) -> list[tuple[float, int, int]]:
    """When, how many came out, over how long."""
    events = ear.scrape(*metrics, resource=VLLM)
    return [(said(event)["at"], event.output_tokens, event.span_s) for event in events]


def test_what_an_accelerator_says_at_one_moment_is_one_sample():
    (event,) = Ear().scrape(*gpu_at(0), Metric(FREE, 9000), Metric("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", 0.000314))
    assert said(event) == {
        "at": 0.0,
        "workload": "prod-eu/llm-serving/llama70b",
        "device": "GPU-7b1c",
        "span_s": 30.0,
        "node": "gpu-node-17",
        "labels": {"container": "server"},
        "gpu_model": "NVIDIA H100 80GB HBM3",
        "util_ratio": 0.4,
        "tensor_active_ratio": 0.000314,
        "memory_used_bytes": 71233 * 2**20,
        "memory_total_bytes": (71233 + 9000) * 2**20,
        "power_w": 71.4,
    }


def test_spans_meet_end_to_end_however_often_it_is_asked():
    ear = Ear()
    spans = [event.span_s for second in (0, 5, 10, 40, 1000) for event in ear.scrape(*gpu_at(second))]
    assert spans == [30.0, 5.0, 5.0, 30.0, 30.0]


def test_the_same_scrape_twice_counts_once():
    ear = Ear()
    assert len(ear.scrape(*gpu_at(0))) == 1
    assert ear.scrape(*gpu_at(0)) == []
    assert ear.scrape(*gpu_at(-30)) == []


def test_a_scrape_in_two_messages_is_joined_once_that_was_seen():
    ear = Ear()
    told = []
    for second in (0, 30, 60):
        for part in (gpu_at(second)[:2], gpu_at(second)[2:]):
            told += [said(event) for event in ear.scrape(*part)]
    assert [(one["at"], one.get("memory_used_bytes")) for one in told] == [
        (0.0, None), (30.0, 71233 * 2**20), (60.0, 71233 * 2**20),
    ]  # fmt: skip


def test_values_one_by_one_are_joined_and_told_without_delay_once_known():
    ear = Ear(Format.PROMETHEUS_JSON)
    first = [ear.hear(adapter(metric)) for metric in gpu_at(0)]
    assert first == [[], [], []]
    second = [ear.hear(adapter(metric)) for metric in gpu_at(30)]
    assert [len(events) for events in second] == [1, 0, 1]  # the first when the next begins, the second when whole
    assert [said(second[0][0])["at"], said(second[2][0])["at"]] == [0.0, 30.0]
    assert ear.rest() == []


def test_what_never_becomes_whole_is_told_when_others_are_a_minute_further():
    ear = Ear(Format.PROMETHEUS_JSON)
    ear.hear(*map(adapter, gpu_at(0)))
    other = {**GPU, "UUID": "GPU-2"}
    assert ear.hear(adapter(Metric(UTIL, 1, other, NOON_S + 60)))[0].device == "GPU-7b1c"
    assert [event.device for event in ear.rest()] == ["GPU-2"]


def test_a_value_that_is_gone_is_unknown_and_not_waited_for():
    ear = Ear()
    ear.scrape(*gpu_at(0))
    gone = Metric(POWER, 0.0, at_s=NOON_S + 30, stale=True)
    (event,) = ear.scrape(*[metric for metric in gpu_at(30) if metric.name != POWER], gone)
    assert event.power_w is None
    assert event.util_ratio == 0.4


@pytest.mark.parametrize(
    ("name", "blank"),
    [
        (POWER, 140737488355330.0),
        (UTIL, 9223372036854775794),
        (UTIL, 2147483632),
        (USED, 9223372036854775792),
        ("DCGM_FI_PROF_DRAM_ACTIVE", 140737488355328.0),
    ],
)
def test_sentinels_are_unknown_and_no_fault(name, blank):
    ear = Ear()
    (event,) = ear.scrape(*[metric for metric in gpu_at(0) if metric.name != name], Metric(name, blank))
    assert (
        not {"power_w": 1, "util_ratio": 1, "memory_used_bytes": 1}.keys()
        - said(event).keys()
        - {{POWER: "power_w", UTIL: "util_ratio", USED: "memory_used_bytes"}.get(name)}
    )
    assert ear.faults == []


def test_a_wrong_unit_is_set_aside_alone():
    ear = Ear()
    (event,) = ear.scrape(Metric("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 87.0), Metric(POWER, 71400.0), Metric(UTIL, 40.0))
    assert (event.util_ratio, event.engine_active_ratio, event.power_w) == (0.4, None, None)
    assert ear.faults == [
        "the value 87 is beyond what it can be (0 to 1.001 in its unit); is it percent, and not a ratio?",
        "the value 71400 is beyond what it can be (0 to 5000 in its unit)",
    ]


def test_a_stated_unit_wins():
    (event,) = Ear().scrape(Metric(POWER, 71400.0, unit="mW"), Metric("hw.gpu.utilization", 40.0, unit="%"))
    assert (event.power_w, event.util_ratio) == (71.4, None)  # the second is of another source: the first is believed


def test_a_unit_that_the_name_leaves_open_is_learnt_for_the_exporter_and_kept():
    ear = Ear()
    name = "DCGM_FI_DEV_GPU_UTIL_RATIO"
    told = []
    for second, (one, other) in enumerate([(0.9, 1.0), (90.0, 1.0), (1.0, 0.0)]):
        at_s = NOON_S + 30 * second
        events = ear.scrape(
            Metric(name, one, GPU, at_s), Metric(name, other, {**GPU, "UUID": "GPU-2", "gpu": "4"}, at_s)
        )
        told.append([event.util_ratio for event in events])
    assert told == [[0.9, 1.0], [0.9, 0.01], [0.01, 0.0]]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -3.0])
def test_what_is_no_quantity_is_set_aside(value):
    ear = Ear()
    (event,) = ear.scrape(Metric(UTIL, value), Metric(POWER, 71.4))
    assert (event.util_ratio, event.power_w) == (None, 71.4)
    assert len(ear.faults) == 1


def test_a_cumulative_counter_counts_from_its_first_value():
    ear = Ear()
    assert tokens(ear, count(918237, 0)) == []
    assert tokens(ear, count(918537, 30)) == [(30.0, 300, 30.0)]
    assert tokens(ear, count(918537, 45)) == [(45.0, 0, 15.0)]


def test_a_counter_that_began_anew_counts_from_zero():
    ear = Ear()
    tokens(ear, count(1000, 0))
    assert tokens(ear, count(40, 30)) == [(30.0, 40, 30.0)]
    assert tokens(ear, count(70, 60)) == [(60.0, 30, 30.0)]


def test_a_collector_that_begins_anew_does_not_count_everything_again():
    ear = Ear()
    for second, start in ((0, 0.001), (30, 0.001)):
        tokens(ear, count(918_000 + second, second, start=start))
    assert tokens(ear, count(918_060, 60, start=60)) == [(60.0, 30, 30.0)]
    other = count(500_000, 90, "vllm:prompt_tokens_total", start=90)  # seen for the first time: since when is not known
    assert tokens(ear, count(918_070, 90, start=60), other) == [(90.0, 10, 30.0)]
    ear.scrape(count(500_003, 120, "vllm:prompt_tokens_total", start=90), resource=VLLM)
    (event,) = ear.rest()
    assert event.input_tokens == 3


def test_a_series_that_began_after_the_last_event_is_new_in_full():
    ear = Ear()
    tokens(ear, count(1000, 0, finished_reason="stop", model_name="m"))
    tokens(ear, count(1000, 30, finished_reason="stop", model_name="m"))
    both = [count(1010, 60, finished_reason="stop", model_name="m")]
    both.append(count(7, 60, start=40, finished_reason="length", model_name="m"))
    assert tokens(ear, *both) == [(60.0, 17, 30.0)]


def test_deltas_are_added_up_and_none_is_lost_for_coming_late():
    ear = Ear()
    assert tokens(ear, count(5, 30, kind=DELTA)) == [(30.0, 5, 30.0)]
    assert tokens(ear, count(7, 60, kind=DELTA)) == [(60.0, 7, 30.0)]
    assert tokens(ear, count(7, 60, kind=DELTA)) == []
    late = tokens(ear, count(3, 50, kind=DELTA, process="2", model_name="llama-3.3-70b"))
    assert late == [(60.001, 3, 0.001)]


def test_several_counters_of_one_server_are_one_event():
    ear = Ear()
    for second in (0, 30):
        events = ear.scrape(
            count(100 + second, second, IN),
            count(200 + 2 * second, second, OUT),
            count(1 + second, second, "vllm:request_success_total", finished_reason="stop", **MODEL),
            count(2 + second, second, "vllm:request_success_total", finished_reason="length", **MODEL),
            Metric("vllm:num_requests_running", 3.0, MODEL, NOON_S + second),
            Metric("vllm:num_requests_waiting", 0.0, MODEL, NOON_S + second),
            resource=VLLM,
        )
    (event,) = events
    told = said(event)
    assert told.pop("event_id").endswith(f"-{(NOON_S + 30) * 1000}")
    assert told == {
        "at": 30.0,
        "workload": "prod-eu//vllm",
        "provider": "self-hosted",
        "model": "llama-3.3-70b",
        "span_s": 30.0,
        "requests": 60,
        "input_tokens": 30,
        "output_tokens": 60,
        "requests_running": 3.0,
        "requests_waiting": 0.0,
    }


def test_a_gateway_says_what_it_cost_unless_it_could_not_tell():
    ear = Ear()
    who = {"api_provider": "openai", "model": "gpt-4o", "model_id": "a33b", "team_alias": "search"}
    gateway = {"service.name": "litellm", "service.instance.id": "gateway:4000"}

    def scrape(second, into, out, usd):
        return ear.scrape(
            count(into, second, "litellm_input_tokens_metric_total", **who),
            count(out, second, "litellm_output_tokens_metric_total", **who),
            count(usd, second, "litellm_spend_metric_total", **who),
            resource=gateway,
        )

    scrape(0, 600, 400, 0.0033)
    (priced,) = scrape(30, 1200, 800, 0.0066)
    (unpriced,) = scrape(60, 1800, 1200, 0.0066)
    assert (priced.workload, priced.team, priced.provider, priced.model) == (
        "default//search", "search", "openai", "gpt-4o",
    )  # fmt: skip
    assert (priced.input_tokens, priced.output_tokens, priced.cost_usd) == (600, 400, Decimal("0.0033"))
    assert (unpriced.input_tokens, unpriced.cost_usd) == (600, None)


def test_a_growth_that_can_not_be_is_set_aside():
    ear = Ear()
    tokens(ear, count(0, 0))
    assert tokens(ear, count(1e13, 30)) == []
    assert ear.faults == ["it has grown by 1e+13 since its last value: that can't be in its unit"]


def test_a_clock_far_ahead_moves_nothing():
    ear = Ear()
    ear.scrape(*gpu_at(0))
    assert ear.scrape(*gpu_at(400 * 86_400)) == []
    assert set(ear.faults) == {"dated too far ahead of its arrival"}
    assert len(ear.scrape(*gpu_at(30))) == 1


def test_of_two_sources_for_one_accelerator_the_better_is_believed():
    ear = Ear()
    triton = {"gpu_uuid": "GPU-7b1c"}
    told = []
    for second in (0, 30):
        told += ear.scrape(*gpu_at(second))
        told += ear.scrape(Metric("nv_gpu_utilization", 0.9, triton, NOON_S + second + 3), resource=VLLM)
    assert [event.util_ratio for event in told] == [0.4, 0.4]
    late = ear.scrape(Metric("nv_gpu_utilization", 0.9, triton, NOON_S + 400), resource=VLLM)
    assert [event.util_ratio for event in late] == [0.9]


def test_pods_that_share_an_accelerator_never_count_it_twice():
    second = {**GPU, "pod": "alpha-0"}
    for pair in ((GPU, second), (second, GPU)):
        (event,) = Ear().scrape(*[Metric(name, 40.0, labels) for name in (UTIL, POWER) for labels in pair])
        assert (event.workload, event.util_ratio, event.power_w) == ("prod-eu/llm-serving/alpha", 0.4, 40.0)


def test_what_is_silent_for_long_is_forgotten():
    ear = Ear()
    ear.scrape(*gpu_at(0))
    ear.scrape(Metric(UTIL, 1.0, {**GPU, "UUID": "GPU-2"}, NOON_S + KEPT_MS // 1000 + 3600))
    assert list(ear.translator.gathering.things) == ["gpu|GPU-2"]


def test_state_survives_a_trip_through_bytes():
    whole, broken = Ear(), Ear()
    for second in range(0, 300, 15):
        messages = [
            as_proto(request(gpu_at(second)[: 2 + second % 2])),
            as_proto(request([count(second, second)], VLLM)),
        ]
        parts = broken.translator.gathering.whole()
        broken = Ear()
        broken.translator.gathering.load(parts)
        assert broken.hear(*messages) == whole.hear(*messages)
        assert broken.translator.gathering.whole() == whole.translator.gathering.whole()


def test_changes_add_up_to_the_whole():
    ear = Ear()
    parts: dict[str, bytes] = {}
    for second in range(0, 8 * 3600, 1800):
        labels = {**GPU, "UUID": f"GPU-{second % 7}"}
        ear.scrape(Metric(UTIL, 3.0, labels, NOON_S + second), resource=EXPORTER)
        for name, body in ear.translator.gathering.changes().items():
            if body is None:
                del parts[name]
            else:
                parts[name] = body
    assert parts == ear.translator.gathering.whole()


def test_a_step_that_is_not_kept_changes_nothing():
    ear = Ear()
    before = ear.translator.gathering.whole()
    message = as_proto(request(gpu_at(0)))
    zero = np.zeros(1, dtype=np.int64)
    ear.hear()
    ear.translator.formats["topic"] = Format.OTLP_PROTO
    first = ear.translator.decode(["topic"], zero, [message], zero + NOON_S * 1000, 2**20)
    again = ear.translator.decode(["topic"], zero, [message], zero + NOON_S * 1000, 2**20)
    assert first.decoded.events == again.decoded.events != []
    assert ear.translator.gathering.whole() == before
