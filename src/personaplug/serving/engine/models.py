"""The runs that a server answers with, and how one of them reads a batch of questions."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from jaxtyping import Bool, Float
from torch import Tensor

from personaplug.backbone.base import Backbone
from personaplug.backbone.loading import BackboneConfig
from personaplug.backbone.mixing import NextTokens
from personaplug.embedder.encoder import TextEncoder
from personaplug.errors import ConfigError
from personaplug.plug.model import PersonaPlug
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run import RunConfig
from personaplug.plug.run_file import read_config
from personaplug.plug.run_folder import CONFIG
from personaplug.records import Example, Profile
from personaplug.serving.engine.history_cache import HistoryCache
from personaplug.serving.engine.metrics import Metrics
from personaplug.serving.engine.request import AnswerStart, EngineRequest, Persona
from personaplug.serving.engine.turns import Turn, fitted
from personaplug.store.address import Address
from personaplug.store.persona_store import PersonaStore


@dataclass(frozen=True, slots=True)
class Reading:
    """A question as its language model reads it.

    Attributes:
        embeds: Embeddings ``[tokens, llm_dim]``.
        mask: Which of them the language model reads.
        mixed: What has a say in the answer's tokens beside the language model; None where nothing has.
        opening: What is known of the answer so far.
        has_vectors: Whether vectors are among the embeddings.
    """

    embeds: Float[Tensor, "tokens llm_dim"]
    mask: Bool[Tensor, " tokens"]
    opening: AnswerStart
    mixed: NextTokens | None = None
    has_vectors: bool = False


class ServedModel:
    """One run.

    Args:
        plug: The run's plug.
        personas: Where it finds histories, in place of the store itself.
    """

    def __init__(self, plug: PersonaPlug, personas: HistoryCache) -> None:
        self.plug = plug
        self.personas = personas
        if plug.source is not None:
            plug.read_from(personas)

    @property
    def longest_input(self) -> int:
        """Tokens of the longest prompt, with the vectors beside it."""
        return self.plug.prompts.max_tokens + self.plug.run.vectors

    def longest_answer(self, *, limit: int) -> int:
        """Say how many tokens an answer may have at most, be the input as long as it may."""
        room = self.plug.backbone.longest_answer(input_tokens=self.longest_input)
        return limit if room is None else min(limit, room)

    def cost(self, request: EngineRequest) -> int:
        """Bound the tokens that a question takes up in a batch, input and answer together, without reading it.

        A token has at least one byte, retrieved items fill a prompt to its end.
        """
        prompts = self.plug.prompts
        written = len(prompts.task.prompt_text(request.text).encode("utf-8", "surrogatepass")) + _FRAME
        bound = prompts.max_tokens if prompts.items else min(prompts.max_tokens, written)
        return bound + self.plug.run.vectors + request.config.max_new_tokens

    def fit(self, request: EngineRequest) -> EngineRequest:
        """Leave the oldest turns of a chat out, until the language model has room for it.

        Raises:
            LongInputError: What must be read is too long by itself.
        """
        task, count = self.plug.task, self.plug.backbone.count_tokens
        text = fitted(
            request.turns or [Turn(request.text)],
            count=lambda text: count(task.prompt_text(text)),
            room=self.plug.run.training.max_input_tokens,  # retrieved items have room of their own
            field=request.field,
        )
        return replace(request, text=text)

    def read(self, requests: Sequence[EngineRequest]) -> list[Reading]:
        """Read questions together, those with and those without persona each as one batch."""
        read: dict[int, Reading] = {}
        for with_persona in (True, False):
            chosen = [at for at, request in enumerate(requests) if request.with_persona is with_persona]
            if chosen:
                examples = [self._example(requests[at]) for at in chosen]
                inputs = self.plug.embedded(examples, with_persona=with_persona)
                for place, (at, example) in enumerate(zip(chosen, examples, strict=True)):
                    persona = self._persona(example) if with_persona else "off"
                    mixed = inputs.mixed.row(place) if inputs.mixed else None
                    embeds, mask = inputs.row(place)
                    opening = AnswerStart(persona, int(mask.sum()))
                    has_vectors = bool(inputs.has_vectors and inputs.has_vectors[place])
                    read[at] = Reading(embeds, mask, opening, mixed, has_vectors=has_vectors)
        return [read[at] for at in range(len(requests))]

    def _example(self, request: EngineRequest) -> Example:
        user = request.user if request.with_persona else None
        profile = self.personas.get(user) if user else Profile("")
        return Example(id="", profile=profile, input=request.text, target=None, time=datetime.now(UTC))

    def _persona(self, example: Example) -> Persona:
        run = self.plug.run
        reads_history = run.has_persona or run.retriever is not None
        return "own" if example.profile.items and reads_history else "generic"


_FRAME = 64
"""Tokens that a chat template or start and end tokens may put around a prompt."""


@dataclass(frozen=True, slots=True)
class Models:
    """All runs of a server; they share one store and one encoder.

    Attributes:
        by_name: The runs.
        personas: The histories.
        encoder: Made the store's vectors, and makes those of items to come.
    """

    by_name: Mapping[str, ServedModel]
    personas: HistoryCache
    encoder: TextEncoder

    def read(self, requests: Sequence[EngineRequest]) -> list[Reading]:
        """Read questions of several runs, each run's as one batch, in the order given."""
        read: dict[int, Reading] = {}
        for name in dict.fromkeys(request.model for request in requests):
            chosen = [at for at, request in enumerate(requests) if request.model == name]
            own = self.by_name[name].read([requests[at] for at in chosen])
            read |= dict(zip(chosen, own, strict=True))
        return [read[at] for at in range(len(requests))]


@contextmanager
def open_models(
    runs: Mapping[str, Path],
    store: Address,
    *,
    device: str = "cpu",
    load: Callable[[BackboneConfig], Backbone] | None = None,
    metrics: Metrics,
) -> Iterator[Models]:
    """Load runs that share a store; those of one language model share that too, and so their batches.

    Args:
        runs: Their folders, by name.
        store: The users' histories.
        device: Where the models compute.
        load: Loads what of a language model is needed here; the whole where not given.
        metrics: Counts what is found in memory.

    Raises:
        ConfigError: A folder is no run, or none of them has a persona.
        StoreError: There is no store, or it is another encoder's.
    """
    with PersonaStore.open(store) as opened:
        plugs: dict[str, PersonaPlug] = {}
        for name, folder in runs.items():
            wanted = read_config(RunConfig, folder / CONFIG).backbone
            shared = next((plug.backbone for plug in plugs.values() if plug.run.backbone == wanted), None)
            backbone = load(wanted) if load and not shared else shared
            plugs[name] = PersonaPlug.from_pretrained(
                folder, store=opened, device=device, query_source=QuerySource.ANEW, backbone=backbone
            )
            # What another tenant's history holds, or has asked, must change nothing: no vector's last bits, no time.
        personas = HistoryCache(opened, metrics=metrics)
        encoder = _encoder(list(plugs.values()))
        models = {name: ServedModel(plug, personas) for name, plug in plugs.items()}
        for name, model in models.items():
            _check_room(name, model)
        yield Models(models, personas, encoder)


def _check_room(name: str, model: ServedModel) -> None:
    if model.longest_answer(limit=1) < 1:
        raise ConfigError(
            f"{name} reads inputs of up to {model.longest_input} tokens: its language model has no room for an answer",
            hint="train it with a smaller --max-input-tokens, or let vLLM take more (--max-model-len)",
        )


def _encoder(plugs: Sequence[PersonaPlug]) -> TextEncoder:
    """Take the encoder of a plug that has it frozen, else load it: one that is trained makes no history's vectors."""
    personal = [plug for plug in plugs if plug.run.has_persona]
    if not personal:
        raise ConfigError("none of these runs has a persona", hint="serve a plug, alone or beside a tuned prompt")
    return next((plug for plug in personal if plug.query_vectors), personal[0]).frozen_encoder()
