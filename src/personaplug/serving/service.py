"""All that a server is made of, opened and closed together."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from personaplug.serving.access import Access
from personaplug.serving.engine import Engine, EngineConfig
from personaplug.serving.keeper import Keeper
from personaplug.serving.limits import Limits, RateLimiter
from personaplug.serving.metrics import Metrics
from personaplug.serving.models import Models, open_models
from personaplug.store.sqlite import PersonaStore
from personaplug.worker import Worker


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything stands.

    Attributes:
        runs: Folders of the runs by the names they answer to.
        store: The users' histories.
        device: Where the models compute.
    """

    runs: dict[str, Path]
    store: Path
    device: str = "cpu"


class Service:
    """The parts of a server. Made closed; :meth:`open` loads the models, :meth:`start` lets it answer.

    Args:
        place: Where everything stands.
        access: Who may do what.
        limits: What is accepted.
        config: How questions share batches.
    """

    def __init__(
        self, place: Place, access: Access, *, limits: Limits | None = None, config: EngineConfig | None = None
    ) -> None:
        self.place = place
        self.access = access
        self.limits = limits or Limits()
        self.metrics = Metrics()
        self.rates = RateLimiter(self.limits.requests_per_minute)
        self._config = config or EngineConfig()
        self._models = Worker(self._open_models, name="models")
        self._stores = Worker(lambda: PersonaStore.open(place.store), name="store")

    def open(self) -> None:
        """Load the models and open the store; whatever goes wrong is raised here."""
        models, store = self._models.open(), self._stores.open()
        self.engine = Engine(self._models, models, self._config, metrics=self.metrics)
        self.keeper = Keeper(self._stores, self._models, store.layout, items_per_user=self.limits.items_per_user)

    def start(self) -> None:
        """Begin to answer, on the running event loop."""
        self.engine.start()

    async def stop(self) -> None:
        """Answer what was accepted, then stop."""
        await self.engine.drain()

    def close(self) -> None:
        """Close store and models."""
        self._stores.close()
        self._models.close()

    def _open_models(self) -> AbstractContextManager[Models]:
        place = self.place
        return open_models(place.runs, place.store, device=place.device, metrics=self.metrics)
