"""Methods by name, each by exact match: the first trip from what a person types to what answers."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from personaplug.backbone.base import GenerationConfig
from personaplug.backbone.device import start_torch
from personaplug.backbone.loading import BackboneConfig, load_backbone
from personaplug.errors import ConfigError
from personaplug.evaluation.harness import Method
from personaplug.method_kinds import METHOD_KINDS, check_command, kind_of
from personaplug.methods.persona_plug import PlugMethod
from personaplug.methods.profiles import with_profiles
from personaplug.methods.prompted import Prompted
from personaplug.methods.retrieval import build_retriever, with_items, without_items
from personaplug.models.catalog import DEFAULT
from personaplug.plug.model import PersonaPlug
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run import RunConfig
from personaplug.plug.run_file import read_config
from personaplug.plug.run_folder import CONFIG, check_method, check_task, holds_run, method_of, store_of
from personaplug.rivals.learned_retrieval.method import build_ropg, build_rspg
from personaplug.rivals.user_lora.method import open_user_lora
from personaplug.store.address import Address
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import Task

RETRIEVED = 4  # items in a retrieval prompt
PROFILED = 16  # items that a user is described by


@dataclass(frozen=True, slots=True)
class MethodOptions:
    """What a method may need beside its name and task.

    Attributes:
        run: Folder of what was trained; untrained methods take language model, token limits and the length of retrieved
            items from a plug's.
        store: The histories' vectors, for every plug and ``dense``, and for a choice that has ``dense`` in it.
        backbone: The language model, where there is no run.
        encoder: As given to ``index``, for ``dense``; where it is None, the run's or the one that the store names.
        k: Items in a retrieval prompt, or of which ``text-profile`` is written; None for :data:`RETRIEVED`, for
            :data:`PROFILED`, or for as many as ``user-lora`` or a mixed plug was trained with.
        generation: How to decode.
        profiles: Where ``text-profile`` keeps what the language model wrote about users.
        query_source: Where the vectors of queries come from.
    """

    query_source: QuerySource
    run: Path | None = None
    store: PersonaStore | None = None
    backbone: str = DEFAULT
    encoder: str | None = None
    k: int | None = None
    generation: GenerationConfig = field(default_factory=GenerationConfig)
    profiles: Path | None = None


@contextmanager
def open_run(run: Path, store: Address | None) -> Iterator[PersonaPlug]:
    """Load a trained plug with the histories of its users, for as long as it is asked.

    Args:
        run: The run's folder.
        store: The histories; None for those that the run was trained with.

    Raises:
        ConfigError: The folder is no run, or does not say where the histories are.
        StoreError: They are not there, or of another encoder.
    """
    path = store or store_of(run)
    if holds_run(run):
        _plug_run(run)
    with PersonaStore.open(path) if path else nullcontext() as opened:
        plug = PersonaPlug.from_pretrained(run, store=opened, device=start_torch(), query_source=QuerySource.STORE)
        if opened is None:
            raise ConfigError(f"{run} was trained without a store of histories", hint="name one with --store")
        yield plug


def build_method(name: str, task: Task, *, options: MethodOptions) -> Method:
    """Build a contender by its exact name.

    Raises:
        ConfigError: There is no such method, or it needs a run or a store that was not given.
    """
    kind = check_command(name)
    if kind.learns == "prefix":
        return _trained(name, task, options=options)
    if kind.is_learned_retrieval:
        return _learned(name, task, options=options)
    if kind.learns == "adapters":
        return _adapted(name, task, options=options)
    run = _plug_run(options.run) if options.run else RunConfig(backbone=BackboneConfig(model=options.backbone))
    plain = without_items(
        name,
        task,
        backbone=load_backbone(run.backbone, device=start_torch()),
        generation=options.generation,
        max_input_tokens=run.training.max_input_tokens,
        max_output_tokens=run.training.max_output_tokens,
    )
    if not kind.shows_items:
        return plain
    if kind.is_described:
        return _described(plain, task, options=options, run=run)
    encoder_name = options.encoder or (run.encoder.model if options.run else None)
    retriever = build_retriever(
        name, task, store=options.store, encoder_name=encoder_name, query_source=options.query_source
    )
    return with_items(plain, task, retriever=retriever, k=options.k or RETRIEVED, item_tokens=run.items.item_tokens)


def check_room(plug: PersonaPlug, generation: GenerationConfig | None = None) -> None:
    """Refuse a plug whose longest input, with the vectors beside it, its language model has no positions for.

    Args:
        plug: About to be trained, or to answer.
        generation: How long it may answer; None in training.

    Raises:
        ConfigError: There are too few.
    """
    training, vectors, longest = plug.run.training, plug.run.vectors, plug.prompts.max_tokens
    asked = generation.max_new_tokens if generation else 0
    answer = max(training.max_output_tokens, asked)
    positions = plug.backbone.positions(answer_tokens=answer)
    if positions is None or longest + vectors <= positions:
        return
    hint = f"--max-input-tokens {positions - vectors}" if positions > vectors else "a smaller --max-output-tokens"
    raise ConfigError(
        f"inputs of {longest} tokens beside {vectors} vectors: the language model has room for "
        f"{max(0, positions)}, beside answers of {answer}",
        hint=f"--max-new-tokens {training.max_output_tokens}" if asked == answer else hint,
    )


def _trained(name: str, task: Task, *, options: MethodOptions) -> Method:
    folder = _run_of(name, options)
    plug = PersonaPlug.from_pretrained(
        folder, store=options.store, device=start_torch(), query_source=options.query_source
    )
    check_task(folder, plug.task.name, wanted=task.name)
    check_room(plug, options.generation)
    if plug.run.retriever is None:
        return PlugMethod(name, plug, options.generation)
    k = plug.run.items.k
    if options.k not in (None, k):
        raise ConfigError(f"{folder} was trained with {k} items in a prompt, not {options.k}", hint=f"-k {k}, or no -k")
    return PlugMethod(f"{name}, k={k}", plug, options.generation)


def _learned(name: str, task: Task, *, options: MethodOptions) -> Method:
    folder, k = _needed_run(name, options), options.k or RETRIEVED
    if kind_of(name).learns == "ranker":
        return build_ropg(name, task, folder=folder, k=k, generation=options.generation)
    return build_rspg(
        name,
        task,
        folder=folder,
        store=options.store,
        k=k,
        generation=options.generation,
        query_source=options.query_source,
    )


def _adapted(name: str, task: Task, *, options: MethodOptions) -> Method:
    folder = _run_of(name, options)
    return open_user_lora(folder, task, k=options.k, generation=options.generation, device=start_torch())


def _described(plain: Prompted, task: Task, *, options: MethodOptions, run: RunConfig) -> Method:
    if options.profiles is None:
        raise ConfigError("text-profile needs a folder for what it writes about users", hint="name it with --profiles")
    k, item_tokens = options.k or PROFILED, run.items.item_tokens
    return with_profiles(plain, task, folder=options.profiles, source=run.backbone, k=k, item_tokens=item_tokens)


def _run_of(name: str, options: MethodOptions) -> Path:
    folder = _needed_run(name, options)
    check_method(folder, name)
    return folder


def _needed_run(name: str, options: MethodOptions) -> Path:
    if options.run is None:
        raise ConfigError(f"the method {name!r} needs a trained run", hint="train one, then name its folder with --run")
    return options.run


def _plug_run(folder: Path) -> RunConfig:
    """Read the configuration of a plug or tuned prompt, and refuse the folder of anything else."""
    held = method_of(folder)
    if held in METHOD_KINDS and METHOD_KINDS[held].learns != "prefix":
        raise ConfigError(f"{folder} holds a {held}, not a plug or tuned prompt", hint="give another --run, or none")
    return read_config(RunConfig, folder / CONFIG)
