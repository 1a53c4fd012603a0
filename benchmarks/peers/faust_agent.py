"""faust-streaming as it comes: an agent, one event at a time, decode and z-score in the process's own memory."""

from collections import defaultdict
from pathlib import Path

import faust
from meter import Meter, Rolling, arguments, decode

bootstrap, topic_name, group, limit, folder = arguments()
app = faust.App(
    group,
    broker=f"kafka://{bootstrap}",
    store="memory://",
    datadir=folder,
    web_enabled=False,
    topic_allow_declare=False,
    topic_disable_leader=True,
    consumer_auto_offset_reset="earliest",
)
topic = app.topic(topic_name, key_serializer="raw", value_serializer="raw", key_type=bytes, value_type=bytes)
meter = Meter(limit)
rolling = defaultdict(Rolling)


@app.agent(topic)
async def watch(stream: faust.StreamT[bytes]) -> None:
    async for value in stream:
        sample = decode(value)
        rolling[sample.device].odd(sample)
        meter.count()


if __name__ == "__main__":
    Path(folder).mkdir(parents=True, exist_ok=True)
    faust.Worker(app, loglevel="ERROR", redirect_stdouts=False).execute_from_commandline()
