"""bytewax from its own Kafka source: stateful_map with a rolling z-score by key, one worker, no recovery store."""

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSource, KafkaSourceMessage
from bytewax.connectors.stdio import StdOutSink
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main
from meter import Meter, Rolling, Sample, arguments, decode

BATCH = 5000
bootstrap, topic_name, group, limit, folder = arguments()
meter = Meter(limit)


def keyed(message: KafkaSourceMessage) -> tuple[str, Sample]:
    """By accelerator."""
    sample = decode(message.value)
    return sample.device, sample


def judge(state: Rolling | None, sample: Sample) -> tuple[Rolling, bool]:
    """Judge, then learn."""
    state = state or Rolling()
    odd = state.odd(sample)
    meter.count()
    return state, odd


flow = Dataflow("bench")
source = KafkaSource([bootstrap], [topic_name], batch_size=BATCH)
samples = op.map("keyed", op.input("kafka", flow, source), keyed)
judged = op.stateful_map("judge", samples, judge)
op.output("none", op.filter("odd", judged, lambda pair: False), StdOutSink())

if __name__ == "__main__":
    run_main(flow)
