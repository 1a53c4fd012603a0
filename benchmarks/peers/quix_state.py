"""quixstreams with state: mean and variance of each key in its state store, with a changelog topic."""

import logging

from meter import Meter, arguments, decode
from quixstreams import Application, State

bootstrap, topic_name, group, limit, folder = arguments()
meter = Meter(limit)


def judge(value: bytes, state: State) -> bool:
    """Whether the utilisation is far from the key's mean; then learns it."""
    sample = decode(value)
    count, mean, spread = state.get("usual", (0, 0.0, 0.0))
    off = sample.util_ratio - mean
    odd = count >= 60 and off * off > 36.0 * max(spread / count, 1e-9)
    count += 1
    mean += off / count
    state.set("usual", (count, mean, spread + off * (sample.util_ratio - mean)))
    meter.count()
    return odd


def main() -> None:
    logging.disable(logging.CRITICAL)
    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=folder,
        loglevel=None,
        use_changelog_topics=True,
    )
    topic = app.topic(topic_name, key_deserializer="bytes", value_deserializer="bytes")
    frame = app.dataframe(topic)
    frame.filter(judge, stateful=True)
    app.run()


if __name__ == "__main__":
    main()
