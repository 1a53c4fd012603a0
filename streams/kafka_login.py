"""How to log in to the brokers, in the words of each of the three Kafka clients."""

import ssl
from pathlib import Path
from typing import Any

from msgspec import Struct


class KafkaLogin(Struct, frozen=True, kw_only=True):
    """Encryption and login. The password appears in no text that is made of it."""

    protocol: str = "PLAINTEXT"  # PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL
    sasl_mechanism: str = "SCRAM-SHA-512"  # or SCRAM-SHA-256, PLAIN
    username: str | None = None
    password: str | None = None
    ca_file: Path | None = None  # PEM file of the authorities to trust; absent: the system's

    def __repr__(self) -> str:
        return f"KafkaLogin(protocol={self.protocol!r}, username={self.username!r})"

    @property
    def encrypted(self) -> bool:
        """Whether the connection is TLS."""
        return self.protocol in ("SSL", "SASL_SSL")

    @property
    def sasl(self) -> bool:
        """Whether there is a login."""
        return self.protocol.startswith("SASL")

    def ssl_context(self) -> ssl.SSLContext | None:
        """A context that checks certificate and host name, or None without TLS."""
        if not self.encrypted:
            return None
        return ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file is not None else None)

    def client_options(self) -> dict[str, Any]:
        """The keyword arguments of kafka-python's and aiokafka's clients, which bear the same names."""
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.encrypted:
            options["ssl_context"] = self.ssl_context()
        if self.sasl:
            options["sasl_mechanism"] = self.sasl_mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = self.password
        return options


NO_LOGIN = KafkaLogin()
"""A plain connection, as on a loopback interface or in a private network."""
