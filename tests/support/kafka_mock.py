"""librdkafka's mock cluster: a Kafka address in this process, for tests that need no durable log.

It knows produce, fetch, groups and commits. It knows no CreateTopics, keeps nothing over its end, and kafka-python
cannot speak with it; aiokafka, Faust and confluent-kafka can.
"""

from confluent_kafka import Producer


class MockKafka:
    """One mock broker on 127.0.0.1; it lives as long as this object."""

    def __init__(self) -> None:
        self._owner = Producer({"bootstrap.servers": "ignored:1", "test.mock.num.brokers": 1, "log_level": 0})
        (broker,) = self._owner.list_topics(timeout=10.0).brokers.values()
        self.bootstrap = f"{broker.host}:{broker.port}"

    def create(self, topic: str) -> int:
        """Make a topic by asking for it, and tell how many partitions the mock gave it."""
        return len(self._owner.list_topics(topic, timeout=10.0).topics[topic].partitions)
