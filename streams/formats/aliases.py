"""What others call things, and in which unit: one table for every exporter that is understood.

A metric's name is looked up without its dialect: `:` and `.` count as `_`, and a last `_total` does not count. An
OTLP histogram or summary offers its `_sum` and `_count`. The unit that a sender states wins over the one noted here.
"""

from enum import IntEnum, StrEnum
from functools import cache

from msgspec import Struct

VERSION = "2026-11-25"
"""Changes whenever a row does."""

MIB = 1024.0**2
INT64_BLANK = 9.2233720368547e18  # the sentinels of DCGM: blank, not found, not supported, not permitted
FP64_BLANKS = (140737488355328.0, 140737488355329.0, 140737488355330.0, 140737488355331.0)
INT32_BLANK, INT32_MOST = 2147483632.0, 2147483647.0
INFINITE = float("inf")
PERCENT_FROM = 1.5  # a ratio above it is a percentage
MOST_RATIO = 1.001  # a ratio may be so much above 1 by the exporter's own rounding


class Slot(IntEnum):
    """What a value is of: first what one accelerator reports, then what one server of a model does."""

    UTIL = 0
    ENGINE = 1
    SM = 2
    TENSOR = 3
    DRAM = 4
    USED = 5
    TOTAL = 6
    FREE = 7
    RESERVED = 8
    POWER = 9
    INFO = 10  # says the model of an accelerator, in a label

    REQUESTS = 20
    ERRORS = 21
    INPUT = 22
    OUTPUT = 23
    CACHE_READ = 24
    CACHE_WRITE = 25
    REASONING = 26
    COST = 27
    RUNNING = 28
    WAITING = 29
    INPUT_EVENTS = 30  # how many times input was counted: requests, where nothing else says how many

    BY_TYPE = 40  # input or output, as a label says
    EVENTS_BY_TYPE = 41


class Unit(StrEnum):
    """In what a value is given."""

    RATIO = "ratio"
    PERCENT = "percent"
    RATIO_OR_PERCENT = "ratio or percent"  # decided for each exporter from what it sent, and kept
    BYTES = "bytes"
    MIB = "MiB"
    W = "W"
    MW = "mW"
    COUNT = "count"
    GAUGE = "gauge"
    USD = "USD"


class Alias(Struct, frozen=True):
    """A metric of some system: what it is of, in which unit, and for whom only (a label and its value)."""

    system: str
    slot: Slot
    unit: Unit
    only: tuple[str, str] | None = None
    counter: bool = False  # even where the format can't say so


RANKS = {"dcgm": 0, "hw": 1, "nvidia_gpu_exporter": 2, "telegraf": 3, "nvidia_gpu_prometheus": 4, "triton": 5}
"""Where several systems report one accelerator, the one of the lowest rank is believed."""

SCALES = {Unit.PERCENT: 0.01, Unit.MIB: MIB, Unit.MW: 0.001}
STATED = {
    Unit.RATIO: {"%": 0.01, "1": 1.0, "ratio": 1.0, "percent": 0.01},
    Unit.BYTES: {"By": 1.0, "KiBy": 1024.0, "MiBy": MIB, "GiBy": 1024.0**3, "bytes": 1.0, "MiB": MIB},
    Unit.W: {"W": 1.0, "mW": 0.001, "kW": 1000.0},
}
"""The units of OTLP's `unit` that are understood, as a factor."""

_KIND = {
    Unit.PERCENT: Unit.RATIO,
    Unit.RATIO_OR_PERCENT: Unit.RATIO,
    Unit.MIB: Unit.BYTES,
    Unit.MW: Unit.W,
}
_MOST = {
    Unit.RATIO: MOST_RATIO,
    Unit.BYTES: 4e6 * MIB,
    Unit.W: 5000.0,
    Unit.COUNT: 1e15,
    Unit.GAUGE: 1e9,
    Unit.USD: 1e12,
}

_GPU = """
dcgm DCGM_FI_DEV_GPU_UTIL UTIL PERCENT
dcgm DCGM_FI_DEV_GPU_UTIL_RATIO UTIL RATIO_OR_PERCENT
dcgm DCGM_FI_PROF_GR_ENGINE_ACTIVE ENGINE RATIO
dcgm DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO ENGINE RATIO_OR_PERCENT
dcgm DCGM_FI_PROF_SM_ACTIVE SM RATIO
dcgm DCGM_FI_PROF_SM_UTIL_RATIO SM RATIO_OR_PERCENT
dcgm DCGM_FI_PROF_PIPE_TENSOR_ACTIVE TENSOR RATIO
dcgm DCGM_FI_PROF_TENSOR_UTIL_RATIO TENSOR RATIO_OR_PERCENT
dcgm DCGM_FI_PROF_DRAM_ACTIVE DRAM RATIO
dcgm DCGM_FI_PROF_DRAM_UTIL_RATIO DRAM RATIO_OR_PERCENT
dcgm DCGM_FI_DEV_FB_USED USED MIB
dcgm DCGM_FI_DEV_FB_FREE FREE MIB
dcgm DCGM_FI_DEV_FB_RESERVED RESERVED MIB
dcgm DCGM_FI_DEV_FB_TOTAL TOTAL MIB
dcgm DCGM_FI_DEV_FB_USED_BYTES USED BYTES
dcgm DCGM_FI_DEV_FB_FREE_BYTES FREE BYTES
dcgm DCGM_FI_DEV_FB_RESERVED_BYTES RESERVED BYTES
dcgm DCGM_FI_DEV_FB_CAPACITY_BYTES TOTAL BYTES
dcgm DCGM_FI_DEV_POWER_USAGE POWER W
dcgm DCGM_FI_DEV_BOARD_POWER_WATTS POWER W
hw hw_gpu_utilization UTIL RATIO hw_gpu_task?=general
hw hw_gpu_utilization_ratio UTIL RATIO hw_gpu_task?=general
hw hw_gpu_memory_usage USED BYTES
hw hw_gpu_memory_usage_bytes USED BYTES
hw hw_gpu_memory_limit TOTAL BYTES
hw hw_gpu_memory_limit_bytes TOTAL BYTES
hw hw_power POWER W hw_type=gpu
hw hw_power_watts POWER W hw_type=gpu
nvidia_gpu_exporter nvidia_smi_utilization_gpu_ratio UTIL RATIO
nvidia_gpu_exporter nvidia_smi_memory_used_bytes USED BYTES
nvidia_gpu_exporter nvidia_smi_memory_total_bytes TOTAL BYTES
nvidia_gpu_exporter nvidia_smi_memory_free_bytes FREE BYTES
nvidia_gpu_exporter nvidia_smi_memory_reserved_bytes RESERVED BYTES
nvidia_gpu_exporter nvidia_smi_power_draw_watts POWER W
nvidia_gpu_exporter nvidia_smi_gpu_info INFO GAUGE
telegraf nvidia_smi_utilization_gpu UTIL PERCENT
telegraf nvidia_smi_memory_used USED MIB
telegraf nvidia_smi_memory_total TOTAL MIB
telegraf nvidia_smi_memory_free FREE MIB
telegraf nvidia_smi_memory_reserved RESERVED MIB
telegraf nvidia_smi_power_draw POWER W
nvidia_gpu_prometheus nvidia_gpu_duty_cycle UTIL PERCENT
nvidia_gpu_prometheus nvidia_gpu_memory_used_bytes USED BYTES
nvidia_gpu_prometheus nvidia_gpu_memory_total_bytes TOTAL BYTES
nvidia_gpu_prometheus nvidia_gpu_power_usage_milliwatts POWER MW
triton nv_gpu_utilization UTIL RATIO
triton nv_gpu_memory_used_bytes USED BYTES
triton nv_gpu_memory_total_bytes TOTAL BYTES
triton nv_gpu_power_usage POWER W
"""

_SERVERS = """
vllm vllm_prompt_tokens INPUT COUNT
vllm vllm_generation_tokens OUTPUT COUNT
vllm vllm_request_success REQUESTS COUNT
vllm vllm_num_requests_running RUNNING GAUGE
vllm vllm_num_requests_waiting WAITING GAUGE
triton nv_inference_request_success REQUESTS COUNT
triton nv_inference_request_failure ERRORS COUNT
triton nv_inference_pending_request_count WAITING GAUGE
triton nv_trt_llm_request_metrics RUNNING GAUGE request_type=active
triton nv_trt_llm_request_metrics WAITING GAUGE request_type=waiting
trtllm trtllm_request_success REQUESTS COUNT
tgi tgi_request_count REQUESTS COUNT
tgi tgi_request_failure ERRORS COUNT
tgi tgi_request_input_length_sum INPUT COUNT
tgi tgi_request_generated_tokens_sum OUTPUT COUNT
tgi tgi_batch_current_size RUNNING GAUGE
tgi tgi_queue_size WAITING GAUGE
sglang sglang_prompt_tokens INPUT COUNT
sglang sglang_generation_tokens OUTPUT COUNT
sglang sglang_cached_tokens CACHE_READ COUNT
sglang sglang_num_requests REQUESTS COUNT
sglang sglang_num_aborted_requests ERRORS COUNT
sglang sglang_num_running_reqs RUNNING GAUGE
sglang sglang_num_queue_reqs WAITING GAUGE
kserve request_predict_seconds_count REQUESTS COUNT
seldon seldon_model_infer REQUESTS COUNT
litellm litellm_proxy_total_requests_metric REQUESTS COUNT
litellm litellm_proxy_failed_requests_metric ERRORS COUNT
litellm litellm_input_tokens_metric INPUT COUNT
litellm litellm_output_tokens_metric OUTPUT COUNT
litellm litellm_input_cached_tokens_metric CACHE_READ COUNT
litellm litellm_input_cache_creation_tokens_metric CACHE_WRITE COUNT
litellm litellm_spend_metric COST USD
genai gen_ai_client_token_usage_sum BY_TYPE COUNT
genai gen_ai_client_token_usage_count EVENTS_BY_TYPE COUNT
genai gen_ai_client_operation_duration_count REQUESTS COUNT
genai gen_ai_client_operation_duration_seconds_count REQUESTS COUNT
genai gen_ai_client_inference_usage_input_tokens INPUT COUNT
genai gen_ai_client_inference_usage_output_tokens OUTPUT COUNT
genai gen_ai_client_inference_usage_cache_read_input_tokens CACHE_READ COUNT
genai gen_ai_client_inference_usage_cache_write_input_tokens CACHE_WRITE COUNT
genai gen_ai_client_inference_usage_reasoning_output_tokens REASONING COUNT
"""


def plain(name: str) -> str:
    """A metric's or label's name without its dialect."""
    return name.replace(":", "_").replace(".", "_").removesuffix("_total")


@cache
def table() -> dict[str, tuple[Alias, ...]]:
    """All aliases by plain name."""
    found: dict[str, tuple[Alias, ...]] = {}
    for line in (_GPU + _SERVERS).split("\n"):
        if line:
            system, name, slot, unit, *only = line.split()
            pair = tuple(only[0].split("=")) if only else None
            alias = Alias(
                system, Slot[slot], Unit[unit], None if pair is None else (pair[0], pair[1]), unit in ("COUNT", "USD")
            )
            found[plain(name)] = (*found.get(plain(name), ()), alias)
    return found


def kind_of(unit: Unit) -> Unit:
    """What a unit measures, as the unit in which it is kept: ratio, bytes, W."""
    return _KIND.get(unit, unit)


def most_of(unit: Unit) -> float:
    """The largest believable value, in the unit in which it is kept."""
    return _MOST[kind_of(unit)]


def scale_of(unit: Unit, stated: str) -> float:
    """What to multiply a value by, where its sender states this unit ("": none)."""
    if unit is Unit.RATIO_OR_PERCENT and not stated:
        return 1.0
    return STATED.get(kind_of(unit), {}).get(stated, SCALES.get(unit, 1.0))


def is_blank(value: float, unit: Unit) -> bool:
    """Whether an exporter says with this value that it does not know one."""
    if INT64_BLANK <= value < INFINITE or value in FP64_BLANKS:
        return True
    if unit is Unit.GAUGE:
        return value == -1.0
    return unit not in (Unit.BYTES, Unit.COUNT, Unit.USD) and INT32_BLANK <= value <= INT32_MOST
