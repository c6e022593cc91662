"""Brokers for every suite: real Apache Kafka, started when first asked for, once a session."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from streams.broker import Broker, SaslSsl
from tests.certificates import make_sasl_ssl


class SecuredBroker(NamedTuple):
    """A broker that asks for TLS and a password, and what its clients need to know."""

    broker: Broker
    sasl: SaslSsl

    @property
    def bootstrap(self) -> str:
        return self.broker.bootstrap


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One node, shared by the whole session: use topics and groups of your own."""
    with Broker(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """Three nodes, replication 3; a test that kills one starts it again."""
    with Broker(tmp_path_factory.mktemp("kafka3"), nodes=3) as broker:
        yield broker


@pytest.fixture(scope="session")
def kafka_tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    """One node that asks for TLS and a password."""
    folder = tmp_path_factory.mktemp("kafka_tls")
    sasl = make_sasl_ssl(folder)
    with Broker(folder, sasl=sasl) as broker:
        yield SecuredBroker(broker, sasl)
