"""One login in the words of three clients, and in no text."""

import ssl
from pathlib import Path

import certifi
import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from streams.app import KafkaSettings, build_app
from streams.kafka_login import NO_LOGIN, KafkaLogin

SASL = KafkaLogin(protocol="SASL_PLAINTEXT", sasl_mechanism="SCRAM-SHA-256", username="ember", password="s3cret")
SASL_TLS = KafkaLogin(protocol="SASL_SSL", username="ember", password="s3cret", ca_file=Path(certifi.where()))
TLS = KafkaLogin(protocol="SSL")


@pytest.mark.parametrize("login", [NO_LOGIN, SASL, SASL_TLS, TLS])
def test_faust_logs_in_exactly_as_the_other_clients_do(login: KafkaLogin, tmp_path: Path) -> None:
    app = build_app(KafkaSettings(bootstrap="kafka-1:9092", login=login), tmp_path)

    faust_options = dict(credentials_to_aiokafka_auth(app.conf.broker_credentials, None))

    others = login.client_options()
    contexts = faust_options.pop("ssl_context", None), others.pop("ssl_context", None)
    assert faust_options == others
    assert [context is not None for context in contexts] == [login.encrypted] * 2


def test_certificate_and_host_name_are_checked() -> None:
    context = SASL_TLS.ssl_context()

    assert context is not None
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_the_password_appears_in_no_text() -> None:
    settings = KafkaSettings(bootstrap="kafka-1:9092", login=SASL)

    assert "s3cret" not in f"{SASL!r} {SASL} {settings!r} {settings}"
