"""What supervisors' boards are shown: the newest frame of each brand, never an old one late. No socket, no clock."""

from collections.abc import Iterable, Mapping

from msgspec import Struct


class BoardHead(Struct, frozen=True):
    """Whose frame a record of ``boards`` is; the rest stays bytes."""

    tenant: str
    brand_id: str


class Watcher:
    """One board's connection: the brands it asked for, and a slot for each with what it has yet to be shown."""

    __slots__ = ("allowed", "slots", "tenant", "watched")

    def __init__(self, tenant: str, allowed: frozenset[str]) -> None:
        self.tenant = tenant
        self.allowed = allowed
        self.watched: frozenset[str] = frozenset()
        self.slots: dict[str, bytes] = {}


class Boards:
    """The newest frame of each brand, and who watches."""

    def __init__(self, brands: Mapping[str, Iterable[str]]) -> None:
        """Serve these brands, by tenant; frames of others are passed over."""
        self._brands = {tenant: frozenset(ids) for tenant, ids in brands.items()}
        self._newest: dict[tuple[str, str], bytes] = {}
        self._watchers: dict[str, set[Watcher]] = {tenant: set() for tenant in self._brands}

    def join(self, watcher: Watcher) -> None:
        """Let a board in; it is shown nothing before it subscribes."""
        self._watchers[watcher.tenant].add(watcher)

    def leave(self, watcher: Watcher) -> None:
        """Forget a board; a second time changes nothing."""
        self._watchers[watcher.tenant].discard(watcher)
        watcher.slots.clear()

    def subscribe(self, watcher: Watcher, brands: Iterable[str]) -> tuple[str, ...]:
        """
        Show a board these brands from now on, the newest frames at once.

        Args:
            brands: None of them means all that the board may see.

        Returns:
            Brands that it may not see or that do not exist; if there are any, nothing has changed.
        """
        wanted = frozenset(brands) or watcher.allowed
        refused = tuple(sorted(wanted - watcher.allowed))
        if refused:
            return refused
        watcher.watched = wanted
        watcher.slots = {
            brand: frame for brand in sorted(wanted) if (frame := self._newest.get((watcher.tenant, brand))) is not None
        }
        return ()

    def fold(self, head: BoardHead, value: bytes) -> list[Watcher]:
        """Take in one record of ``boards``; return the boards whose slot it is now in. The log's order decides."""
        if head.brand_id not in self._brands.get(head.tenant, frozenset()):
            return []
        frame = b'{"type":"board","frame":' + value + b"}"
        self._newest[(head.tenant, head.brand_id)] = frame
        touched = [one for one in self._watchers[head.tenant] if head.brand_id in one.watched]
        for watcher in touched:
            watcher.slots[head.brand_id] = frame
        return touched
