"""A small world to plug into: tiny models in folders, a task, a store of users with histories of several lengths."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from personaplug.backbone.loading import BackboneConfig
from personaplug.embedder.copy_head import CopyingConfig
from personaplug.embedder.embedder_config import EmbedderConfig
from personaplug.embedder.encoder import EncoderConfig, TextEncoder
from personaplug.plug.adapter_config import SharedAdapterConfig
from personaplug.plug.model import PersonaPlug
from personaplug.plug.run import RunConfig, TrainingConfig
from personaplug.records import Example, HistoryItem, Profile
from personaplug.store.base import StoreLayout
from personaplug.store.indexing import index
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import HistoryRules, QueryRules, Task
from tests import tiny
from tests.factories import START, make_item

TASK = Task(
    name="world",
    description="Agree or disagree, as the user does.",
    kind="generation",
    metrics=("rouge-1",),
    prompt="Say: {input}",
    query=QueryRules(after="about "),
    history=HistoryRules(max_items=20),
)
USERS = {"nobody": 0, "ada": 1, "ben": 2, "cyd": 7, "dee": 30}
"""How many items each has; the first is unknown to the store."""

NOW = START + timedelta(days=100)


@dataclass(frozen=True, slots=True)
class Row:
    """What indexing wants to know of a log's row."""

    user_id: str
    item: HistoryItem
    has_output: bool = True


def save_models(folder: Path) -> Mapping[str, str]:
    """Save the tiny encoder and both families as Hugging Face folders; give their paths by name."""
    models = {"encoder": tiny.text_encoder(), **{name: make() for name, make in tiny.FAMILIES.items()}}
    return {name: tiny.save_model(model, folder / name) for name, model in models.items()}


def encoder_in(models: Mapping[str, str]) -> TextEncoder:
    """Load the tiny encoder from its folder."""
    return TextEncoder.load(EncoderConfig(model=models["encoder"], precision="float32"))


def make_store(path: Path, encoder: TextEncoder, *, task: Task = TASK) -> PersonaStore:
    """Fill a store with the users' items: odd users agree, even ones do not."""
    store = PersonaStore.open(path, layout=StoreLayout(encoder.fingerprint, task.views, encoder.dim))
    rows = [
        Row(user, make_item(day, f"a talk about {'xyz'[day % 3]} {day}", "yes" if at % 2 else "no"))
        for at, (user, count) in enumerate(USERS.items())
        for day in range(count)
    ]
    index(rows, store, encode=lambda texts: encoder.encode(texts).numpy())
    return store


def make_run(
    models: Mapping[str, str],
    family: str,
    *,
    embedder: EmbedderConfig = EmbedderConfig(),  # noqa: B008 (frozen)
    training: TrainingConfig = TrainingConfig(),  # noqa: B008
    copying: CopyingConfig = CopyingConfig(order=0),  # noqa: B008
    method: str = "plug",
) -> RunConfig:
    """Describe a run of the tiny models, without an adapter that all users share, that copies nothing by default."""
    encoder = EncoderConfig(model=models["encoder"], precision="float32")
    return RunConfig(
        method=method,
        encoder=encoder,
        embedder=embedder,
        adapter=SharedAdapterConfig(rank=0),
        copying=copying,
        backbone=BackboneConfig(models[family]),
        training=training,
    )


def make_examples(store: PersonaStore, *, each: int = 1) -> list[Example]:
    """Ask every user a few questions, which they answer as they always do."""
    return [
        Example(
            id=f"{user}-{number}",
            profile=store.get(user) if count else Profile(user),
            input=f"your {'very ' * number}own view about {'zyx'[number % 3]}",
            target="yes" if at % 2 else "no",
            time=NOW,
        )
        for at, (user, count) in enumerate(USERS.items())
        for number in range(each)
    ]


def plain_prompts(examples: Sequence[Example]) -> list[str]:
    """Write the examples' prompts without anything of the users."""
    return [TASK.prompt_text(example.input) for example in examples]


def as_if_trained(plug: PersonaPlug, *, seed: int = 0) -> PersonaPlug:
    """Move what is trained away from where it starts: a fresh plug has not learned to tell users apart."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in (each for each in plug.parameters() if each.requires_grad):
            weight += 0.3 * torch.randn(weight.shape, generator=draw)
    return plug.eval()


@pytest.fixture(scope="session", params=list(tiny.FAMILIES))
def family(request):
    """Each family of language models in turn."""
    return request.param


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Paths of the tiny models, by name."""
    return save_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def store(models, tmp_path_factory):
    """A store that is only read."""
    with make_store(tmp_path_factory.mktemp("store") / "store.db", encoder_in(models)) as store:
        yield store


@pytest.fixture(scope="session")
def examples(store):
    """One question of every user."""
    return make_examples(store)
