"""All that a server is made of, opened and closed together."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from personaplug.errors import ConfigError
from personaplug.plug.embedding_table import load_writer_of_inputs
from personaplug.plug.run import RunConfig
from personaplug.plug.run_file import read_config
from personaplug.serving.access import Access
from personaplug.serving.engine import Engine, EngineConfig
from personaplug.serving.keeper import Keeper
from personaplug.serving.limits import Limits, RateLimiter
from personaplug.serving.local import LocalWriter
from personaplug.serving.metrics import Metrics
from personaplug.serving.models import Models, open_models
from personaplug.serving.relay import RelayWriter
from personaplug.serving.vllm import Upstream
from personaplug.serving.writer import Writer
from personaplug.store.sqlite import PersonaStore
from personaplug.worker import Worker


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything stands.

    Attributes:
        runs: Folders of the runs by the names they answer to.
        store: The users' histories.
        device: Where the models compute.
        vllm: The address of the vLLM server that answers; empty where the language model answers here.
    """

    runs: dict[str, Path]
    store: Path
    device: str = "cpu"
    vllm: str = ""


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
        self._encoders = Worker(lambda: nullcontext(self._encoder), name="encoder")

    def open(self) -> None:
        """Load the models and open the store; whatever goes wrong is raised here."""
        self._upstream = _upstream(self.place) if self.place.vllm else None
        models, store = self._models.open(), self._stores.open()
        self._encoder = models.encoder
        self._encoders.open()
        self.engine = Engine(self._writer(), models, self._config, metrics=self.metrics)
        self.keeper = Keeper(self._stores, self._encoders, self._models, layout=store.layout, limits=self.limits)

    def start(self) -> None:
        """Begin to answer, on the running event loop."""
        self.engine.start()

    async def stop(self) -> None:
        """Answer what was accepted, then stop."""
        await self.engine.drain()

    def close(self) -> None:
        """Close store and models."""
        self._stores.close()
        self._encoders.close()
        self._models.close()

    def _writer(self) -> Writer:
        if self._upstream is None:
            return LocalWriter(self._models, metrics=self.metrics)
        return RelayWriter(self._models, self._upstream, most=self._config.relayed, metrics=self.metrics)

    def _open_models(self) -> AbstractContextManager[Models]:
        place, load = self.place, None
        if self._upstream:
            load = partial(load_writer_of_inputs, device=place.device, positions=self._upstream.positions)
        return open_models(place.runs, place.store, device=place.device, load=load, metrics=self.metrics)


def _upstream(place: Place) -> Upstream:
    """Find the server that answers for all runs.

    Raises:
        ConfigError: There is none, the runs have several language models, or it serves another.
    """
    wanted = {read_config(RunConfig, folder / "config.toml").backbone.model for folder in place.runs.values()}
    if len(wanted) > 1:
        raise ConfigError(
            f"these runs have different language models: {', '.join(sorted(wanted))}",
            hint="a vLLM server serves one: start a server like this for each",
        )
    return Upstream.find(place.vllm, model=wanted.pop())
