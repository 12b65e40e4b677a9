"""All that a server is made of, opened and closed together."""

import logging
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from personaplug.backbone.embedding_table import load_writer_of_inputs
from personaplug.backbone.loading import in_folder
from personaplug.errors import ConfigError
from personaplug.plug.adapter_export import RunLora
from personaplug.plug.run import RunConfig
from personaplug.plug.run_file import read_config
from personaplug.plug.run_folder import CONFIG
from personaplug.serving.api.access import Access
from personaplug.serving.engine.backend import Backend
from personaplug.serving.engine.engine import Engine, EngineConfig
from personaplug.serving.engine.history_service import HistoryService
from personaplug.serving.engine.limits import Limits, RateLimiter
from personaplug.serving.engine.local_backend import LocalBackend
from personaplug.serving.engine.metrics import Metrics
from personaplug.serving.engine.models import Models, open_models
from personaplug.serving.engine.store_file import StoreFile, StoreWorker
from personaplug.serving.engine.store_watch import StoreWatch
from personaplug.serving.engine.vllm_backend import VllmBackend
from personaplug.serving.engine.vllm_client import Upstream
from personaplug.serving.engine.vllm_loras import with_loras
from personaplug.store.address import Address
from personaplug.store.persona_store import PersonaStore
from personaplug.worker import Worker

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServedPaths:
    """Where everything stands.

    Attributes:
        runs: Folders of the runs by the names they answer to.
        store: The users' histories.
        device: Where the models compute.
        vllm: The address of the vLLM server that answers; empty where the language model answers here.
        adapters: A folder that both servers see by one path, where runs' adapters are put for vLLM to load; None where
            it has them from its start.
    """

    runs: dict[str, Path]
    store: Address
    device: str = "cpu"
    vllm: str = ""
    adapters: Path | None = None


class Service:
    """The parts of a server. Made closed; :meth:`open` loads the models, :meth:`start` lets it answer.

    Args:
        paths: Where everything stands.
        access: Who may do what.
        limits: What is accepted.
        config: How questions share batches.
    """

    def __init__(
        self, paths: ServedPaths, access: Access, *, limits: Limits | None = None, config: EngineConfig | None = None
    ) -> None:
        self.paths = paths
        self.access = access
        self.limits = limits or Limits()
        self.metrics = Metrics()
        self.rates = RateLimiter(self.limits.requests_per_minute)
        self.strangers = RateLimiter(self.limits.refusals_per_minute)
        self._config = config or EngineConfig()
        self._opened = ExitStack()

    def open(self) -> None:
        """Load the models and open the store; whatever goes wrong is raised here."""
        self._upstream = _upstream(self.paths) if self.paths.vllm else None
        self.store_file = StoreFile(self.paths.store)
        with ExitStack() as opened:
            self._models = StoreWorker(self._open_models, name="models", file=self.store_file)
            models = self._models.open()
            opened.callback(self._models.close)
            self._encoders = Worker(lambda: nullcontext(models.encoder), name="encoder")
            self._encoders.open()
            opened.callback(self._encoders.close)
            self._stores = StoreWorker(lambda: PersonaStore.open(self.paths.store), name="store", file=self.store_file)
            store = self._stores.open()
            opened.callback(self._stores.close)
            watched = Worker(lambda: nullcontext(store), name="watch")
            watched.open()
            opened.callback(watched.close)
            self.store_watch = StoreWatch(watched)
            self.store_file.check()
            self._opened = opened.pop_all()
        self.engine = Engine(self._backend(), models, self._config, metrics=self.metrics)
        self.histories = HistoryService(
            self._stores, self._encoders, self._models, layout=store.layout, limits=self.limits
        )

    def start(self) -> None:
        """Begin to answer, on the running event loop."""
        self.engine.start()

    async def stop(self) -> None:
        """Answer what was accepted, then stop."""
        await self.engine.drain()

    def close(self) -> None:
        """Close store and models, as far as they are open."""
        self._opened.close()

    @property
    def most_relayed(self) -> int:
        """Most answers under way at once in a server behind this one, each on a connection; 0 where there is none."""
        return self._config.relayed if self._upstream else 0

    def _backend(self) -> Backend:
        if self._upstream is None:
            return LocalBackend(self._models, metrics=self.metrics)
        return VllmBackend(self._models, self._upstream, most=self._config.relayed, metrics=self.metrics)

    def _open_models(self) -> AbstractContextManager[Models]:
        paths, load = self.paths, None
        if self._upstream:
            load = partial(load_writer_of_inputs, device=paths.device, positions=self._upstream.positions)
        return open_models(paths.runs, paths.store, device=paths.device, load=load, metrics=self.metrics)


def _upstream(paths: ServedPaths) -> Upstream:
    """Find the server that answers for all runs.

    Raises:
        ConfigError: There is none, the runs have several language models, or it serves another; or an adapter of theirs
            is none that it can hold, or is not there.
    """
    runs = {name: read_config(RunConfig, folder / CONFIG) for name, folder in paths.runs.items()}
    for name, run in runs.items():
        if run.copies:
            log.warning("%s: vLLM has no way to copy the user's own words, so its answers go without them", name)
    wanted = {run.backbone.model: run.backbone for run in runs.values()}
    if len(wanted) > 1:
        raise ConfigError(
            f"these runs have different language models: {', '.join(sorted(wanted))}",
            hint="a vLLM server serves one: start a server like this for each",
        )
    loras = {name: RunLora.of(paths.runs[name]) for name, run in runs.items() if run.shared_adapter}
    model, backbone = wanted.popitem()
    upstream = Upstream.find(paths.vllm, model=model, folder=in_folder(backbone).model)
    return with_loras(upstream, loras, folder=paths.adapters)
