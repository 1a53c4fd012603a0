"""Why a broker can't be used, in words that say what to mend: the client itself tells no more than that it failed."""

import ssl

from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from streams.kafka_login import KafkaLogin
from streams.topics import KafkaUnreachable, first_line

REFUSED = (AuthenticationFailedError, IllegalSaslStateError, SaslAuthenticationFailed, UnsupportedSaslMechanismError)
ASK_LIMIT_MS = 3000


async def refusal(bootstrap: str, login: KafkaLogin, error: BaseException) -> str:
    """What is wrong, what was got and how to mend it. `error`: what the client said. The password is never named."""
    cause = await _cause(bootstrap, login)
    if isinstance(cause, REFUSED):
        return (
            f"Kafka at {bootstrap} refused the login of {login.username!r} over {login.protocol} with "
            f"{login.sasl_mechanism}: {first_line(cause)}; check protocol, sasl_mechanism, username and password under "
            "kafka.security, and that the broker knows this user"
        )
    if isinstance(cause, ssl.SSLError):
        return (
            f"Kafka at {bootstrap} could not be reached over TLS: {first_line(cause)}; check kafka.security.protocol, "
            "kafka.security.ca_file, and that the broker's certificate is valid now and for this name"
        )
    return str(KafkaUnreachable(bootstrap, "be reached", error))


async def _cause(bootstrap: str, login: KafkaLogin) -> BaseException | None:
    """What the first broker that answers at all says when it is asked by itself; None where nothing is wrong."""
    found: BaseException | None = None
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            connection = await create_conn(
                host.strip("[]"), int(port), request_timeout_ms=ASK_LIMIT_MS, **login.client_options()
            )
        except (KafkaError, OSError, TimeoutError, ValueError) as error:
            found = error if isinstance(error, ssl.SSLError) or error.__cause__ is None else error.__cause__
        else:
            connection.close()
            return None
        if isinstance(found, (*REFUSED, ssl.SSLError)):
            return found
    return found
