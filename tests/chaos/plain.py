"""
The same steps over Faust's own transport: one record an event, its own acknowledgements, seeks and rebalances.

It shows that the suite finds the faults that our transport is there for. Only what carries is Faust's; the steps, the rows
with their offsets and the dropping of repeats by ``src`` stay, so what is doubled is mostly absorbed, and what is lost is seen.
"""

from collections.abc import Mapping
from typing import Any

from faust.transport.drivers import TRANSPORTS
from faust.transport.drivers import aiokafka as driver


class PlainConsumer(driver.Consumer):  # type: ignore[misc]  # Faust is untyped
    """Faust's consumer; each record looks like a run of one to the carrying loop."""

    settled = False
    """Nothing is settled at a rebalance, so each partition counts as new."""

    def _to_message(self, tp: Any, record: Any) -> Any:
        message = super()._to_message(tp, record)
        if not self._is_changelog_tp(tp):
            message.value = [record]
        return message

    def current(self, message: Any) -> bool:
        """Faust hands over what it has, and nobody asks."""
        return True

    @property
    def positions_known(self) -> bool:
        """Whether records flow; Faust knows no more than that."""
        return bool(self.flow_active and not self.app.rebalancing)

    @property
    def done(self) -> dict[str, int]:
        """Committed offsets, by partition."""
        return {str(tp): offset for tp, offset in self._committed_offset.items() if offset is not None}

    def lag(self) -> Mapping[str, int]:
        """Nothing: the watchdog is ours, not Faust's."""
        return {}


class PlainTransport(driver.Transport):  # type: ignore[misc]  # Faust is untyped
    """Faust's transport with Faust's producer."""

    Consumer = PlainConsumer


def install() -> None:
    """Put Faust's own transport behind the addresses that the engine uses."""
    TRANSPORTS.aliases["runs"] = "tests.chaos.plain:PlainTransport"


def configure(app: Any) -> None:
    """
    Let a rebalance wait for nothing, as group commit over Faust's own transport needs it.

    With ``stream_wait_empty`` Faust waits for acknowledgements of records that it has just thrown out of the queues, and
    a group that holds them never ends: every rebalance would hang, and the suite would find that and nothing else.
    """
    app.conf.stream_wait_empty = False
