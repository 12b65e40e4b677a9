"""A log's queries with everything that answers them, on a random T5: ours and the published plug."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from jaxtyping import Float, Int
from torch import Tensor

from benchmarks.paper_faithful import ITEMS, PublishedEmbedder, PublishedPlug
from benchmarks.speed.language_models import random_t5
from benchmarks.speed.logs import Log, open_log
from personaplug.backbone.base import Backbone
from personaplug.data.log import Interaction
from personaplug.data.split import Examples
from personaplug.embedder.embedder_config import PAPER, EmbedderConfig
from personaplug.embedder.encoder import EncoderConfig, TextEncoder
from personaplug.embedder.user_embedder import UserEmbedder
from personaplug.plug.adapter_config import SharedAdapterConfig
from personaplug.plug.model import PersonaPlug, build_plug
from personaplug.plug.prefix import PersonaPrefix
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run import RunConfig
from personaplug.records import Example
from personaplug.store.base import StoreLayout
from personaplug.store.indexing import index
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import Split

NO_ADAPTER = SharedAdapterConfig(rank=0)
"""What ours is compared with has none."""


@dataclass(frozen=True, slots=True)
class World:
    """Queries and their store.

    Attributes:
        log: Where they come from.
        examples: The queries of some users, complete.
        store: These users' items with their vectors.
        backbone: Answers them.
    """

    log: Log
    examples: Examples
    store: PersonaStore
    backbone: Backbone

    def plug(
        self,
        embedder: EmbedderConfig | None = None,
        *,
        query_source: QuerySource,
        device: str = "cpu",
    ) -> PersonaPlug:
        """Build an untrained plug on this world's language model."""
        task = self.log.task
        run = RunConfig(task=task.name, embedder=embedder or EmbedderConfig(), adapter=NO_ADAPTER)
        return build_plug(run, task, store=self.store, device=device, query_source=query_source, backbone=self.backbone)

    def plug_on(self, backbone: Backbone, *, like: PersonaPlug) -> PersonaPlug:
        """Build an untrained plug of the encoder's persona on another language model, with the batches of another."""
        task, dim = self.log.task, self.store.layout.dim
        embedder = UserEmbedder(
            EmbedderConfig(),
            views=len(task.views),
            dim=dim,
            llm_dim=backbone.dim,
            embedding_norm=backbone.embedding_norm,
        )
        return PersonaPlug(PersonaPrefix(embedder, None), backbone, batcher=like.batcher, run=like.run)

    def published(self, like: PersonaPlug, examples: Sequence[Example]) -> PublishedPlug:
        """Build the published plug with the weights of one of ours, of the preset ``paper``, for these examples."""
        prefix = like.prefix
        assert isinstance(prefix, PersonaPrefix)
        assert prefix.query_encoder is not None
        embedder = PublishedEmbedder(prefix.embedder, *_table(like, examples))
        return PublishedPlug(embedder, prefix.query_encoder, like.backbone, task=self.log.task)


@contextmanager
def open_world(split: Split, *, queries: int, is_quick: bool, device: str = "cpu") -> Iterator[World]:
    """Index the users of at least so many queries of acl-title, or of the sample, into a store of their own."""
    log = open_log("acl_papers.jsonl.gz", "acl-title", is_quick=is_quick)
    examples = _of_whole_users(log.examples(split), queries)
    users = {profile.user_id for profile in examples.profiles}
    encoder = TextEncoder.load(EncoderConfig(), device=device).freeze()
    layout = StoreLayout(encoder.fingerprint, log.task.views, encoder.dim)
    with TemporaryDirectory() as folder, PersonaStore.open(Path(folder) / "store.db", layout=layout) as store:
        rows: Iterator[Interaction] = (row for row in log.rows if row.user_id in users)
        index(rows, store, encode=lambda texts: encoder.encode(texts).numpy())
        yield World(log, examples, store, random_t5(is_quick=is_quick, device=device))


def paper_plug(world: World) -> PersonaPlug:
    """Build our plug as the preset ``paper`` has it."""
    return world.plug(PAPER, query_source=QuerySource.STORE)


def forget_queries(plug: PersonaPlug) -> None:
    """Let a plug know no query's vector, as at its first step or answer."""
    if plug.query_vectors is not None:
        plug.query_vectors.forget()


def _of_whole_users(examples: Examples, queries: int) -> Examples:
    last = examples.queries[min(queries, len(examples)) - 1].owner
    kept = tuple(query for query in examples.queries if query.owner <= last)
    return replace(examples, queries=kept, profiles=examples.profiles[: last + 1])


def _table(plug: PersonaPlug, examples: Sequence[Example]) -> tuple[Float[Tensor, "_ _ _"], Int[Tensor, " _"]]:
    histories = [plug.batcher.history(example) for example in examples]
    table = torch.zeros(len(examples), ITEMS, histories[0].vectors.shape[-1])
    for row, history in enumerate(histories):
        table[row, : len(history.ages)] = history.vectors[:, 0]
    return table, torch.tensor([len(history.ages) for history in histories])
