"""Methods with learned retrieval, from the folders of their runs."""

from collections.abc import Callable, Sequence
from pathlib import Path

from personaplug.backbone.base import Backbone, GenerationConfig
from personaplug.backbone.device import start_torch
from personaplug.backbone.loading import load_backbone
from personaplug.errors import ConfigError
from personaplug.evaluation.harness import Method
from personaplug.method_kinds import METHOD_KINDS
from personaplug.methods.prompt_writer import PromptWriter
from personaplug.methods.prompted import Prompted
from personaplug.methods.retrieval import build_retriever, items_beside, with_items, without_items
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run_file import at_end_of
from personaplug.plug.run_folder import check_is_trained, method_of
from personaplug.retrieval.dense import DenseRetriever
from personaplug.rivals.learned_retrieval.retriever import ranker_as_retriever
from personaplug.rivals.learned_retrieval.run import RetrievalConfig, digest_of, load_ranker, load_selector, read_run
from personaplug.rivals.learned_retrieval.selected_prompt import SelectedPrompt
from personaplug.store.persona_store import PersonaStore
from personaplug.store.text_cache import TextCache
from personaplug.tasks.task import Task


def build_ropg(name: str, task: Task, *, folder: Path, k: int, generation: GenerationConfig) -> Method:
    """Build the retrieval prompt of a trained retriever.

    Raises:
        ConfigError: The folder holds no such run, or of another task.
        FingerprintMismatchError: The encoder is not the one that training began from.
    """
    run = read_run(folder, method=name, task=task)
    plain = plain_of(run, task, backbone=load_backbone(run.backbone, device=start_torch()), generation=generation)
    retriever = ranker_as_retriever(load_ranker(folder, run, device=start_torch()), task)
    return with_items(plain, task, retriever=retriever, k=k, item_tokens=run.scoring.item_tokens)


def build_rspg(
    name: str,
    task: Task,
    *,
    folder: Path,
    store: PersonaStore | None,
    k: int,
    generation: GenerationConfig,
    query_source: QuerySource,
) -> Method:
    """Build the prompt that a trained selector chooses.

    Raises:
        ConfigError: The folder holds no such run, or of another task or ``k``, or a retriever has changed since.
        FingerprintMismatchError: The encoder is not the one that training began from.
    """
    run = read_run(folder, method=name, task=task)
    if run.selection.k != k:
        raise ConfigError(f"{folder} was trained with {run.selection.k} items, not {k}", hint=f"-k {run.selection.k}")
    plain = plain_of(run, task, backbone=load_backbone(run.backbone, device=start_torch()), generation=generation)
    pool = prompts_of(run, folder, plain=plain, task=task, store=store, query_source=query_source)
    room = max(each.max_tokens for each in pool)
    answer = answering(plain.backbone, generation, max_tokens=room) if run.kind.reads_answers else None
    writer = SelectedPrompt(task, pool, load_selector(folder, run, device=start_torch()), room, answer)
    return plain.with_writer(writer, name=f"{name}, k={k}")


def answering(
    backbone: Backbone, generation: GenerationConfig, *, max_tokens: int
) -> Callable[[Sequence[str]], list[str]]:
    """Answer prompts, each once: a method is asked for its answer and for its likelihood."""
    return TextCache(lambda prompts: backbone.generate(backbone.embed(prompts, max_tokens=max_tokens), generation))


def plain_of(run: RetrievalConfig, task: Task, *, backbone: Backbone, generation: GenerationConfig) -> Prompted:
    """Make the method without items, which retrieved ones are put into."""
    return without_items(
        run.method,
        task,
        backbone=backbone,
        generation=generation,
        max_input_tokens=run.scoring.max_input_tokens,
        max_output_tokens=run.scoring.max_output_tokens,
    )


def prompts_of(
    run: RetrievalConfig,
    folder: Path,
    *,
    plain: Prompted,
    task: Task,
    store: PersonaStore | None,
    query_source: QuerySource,
) -> list[PromptWriter]:
    """Build what a selector chooses from, in the order of its configuration.

    Args:
        run: The selector's.
        folder: Of the run.
        plain: The prompt without items.
        task: Of the run.
        store: The histories' vectors, for ``dense``.
        query_source: Where the vectors of queries come from, for ``dense``.

    Raises:
        ConfigError: A retriever's run is missing or has changed, or there is no store for ``dense``.
    """
    k, item_tokens, encoder = run.selection.k, run.scoring.item_tokens, run.encoder.model
    pool = [plain.writer] * len(run.selection.retrievers)
    for place, name in enumerate(run.selection.retrievers):
        if name != "none":
            retriever = build_retriever(name, task, store=store, encoder_name=encoder, query_source=query_source)
            pool[place] = items_beside(plain, task, retriever=retriever, k=k, item_tokens=item_tokens)
    trained = _trained_retrievers(run, folder, task=task)
    return [*pool, *(items_beside(plain, task, retriever=each, k=k, item_tokens=item_tokens) for each in trained)]


def digests_of(runs: Sequence[Path]) -> tuple[str, ...]:
    """Tell trained retrievers from all others, by their weights.

    Raises:
        ConfigError: A folder holds no trained retriever.
    """
    for run in runs:
        kind = METHOD_KINDS.get(method_of(run))
        if kind is None or kind.learns != "ranker":
            raise ConfigError(f"{run} holds a {method_of(run)}, no trained retriever", hint="--ropg takes ropg runs")
        check_is_trained(run)
    return tuple(map(digest_of, runs))


def _trained_retrievers(run: RetrievalConfig, folder: Path, *, task: Task) -> list[DenseRetriever]:
    runs = [at_end_of(way, folder=folder) for way in run.selection.ropg]
    for path, digest, now in zip(runs, run.selection.ropg_digests, digests_of(runs), strict=True):
        if digest != now:
            raise ConfigError(f"the retriever in {path} has changed since {folder} was trained", hint="train anew")
    return [_trained_retriever(path, task) for path in runs]


def _trained_retriever(folder: Path, task: Task) -> DenseRetriever:
    run = read_run(folder, method=method_of(folder), task=task)
    return ranker_as_retriever(load_ranker(folder, run, device=start_torch()), task)
