"""``personaplug train --method user-lora``, and its runs as a method: one adapter for each user of a split."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from personaplug.cli.retrievers import build_retriever, with_items, without_items
from personaplug.cli.screen import counted, progress
from personaplug.data.log import read_log
from personaplug.data.rows import OnBad
from personaplug.data.shelf import Shelf
from personaplug.data.split import Examples, split_examples
from personaplug.data.stranger import with_one_stranger_each
from personaplug.errors import ConfigError
from personaplug.evaluation.user_cost import UserCost
from personaplug.methods.prompted import Prompted
from personaplug.methods.user_lora import UserLora
from personaplug.plug.adapter_folder import AdapterRecord
from personaplug.plug.backbone import GenerationConfig
from personaplug.plug.loading import load_backbone
from personaplug.plug.lora import UserAdapters
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run_file import read_config
from personaplug.plug.run_folder import CONFIG, check_is_free, check_task, holds_run
from personaplug.plug.user_lora import PRESETS, UserLoraConfig, UserLoraRun
from personaplug.tasks.task import Split, Task, load_task
from personaplug.training.lessons import histories_of
from personaplug.training.prompt_section import prompt_section
from personaplug.training.user_lora import adapt, train_users
from personaplug.training.user_lora_card import write_user_lora_card


def open_user_lora(folder: Path, task: Task, *, k: int | None, generation: GenerationConfig, device: str) -> UserLora:
    """Open a run as a method.

    Args:
        folder: The run.
        task: What is evaluated.
        k: Items in each prompt; None for as many as in training.
        generation: How to decode.
        device: Where to compute.

    Raises:
        ConfigError: The folder is no such run, or one of another task.
    """
    run = UserLoraRun.open(folder)
    check_task(folder, run.task.name, wanted=task.name)
    prompted = _prompts(run, k=run.config.items.k if k is None else k, generation=generation, device=device)
    adapters = _adapters(run, prompted)
    if run.config.rests_on_task and run.has_start:
        run.start(adapters)
    return UserLora(prompted, adapters, run)


def user_lora_config(file: Path | None, *, out: Path, resume: bool, preset: str = "default") -> UserLoraConfig:
    """Read a run's configuration from a file, or from the run to be resumed, or take a preset.

    Raises:
        ConfigError: The file does not fit, or ``out`` holds a run that is not to be resumed.
    """
    if not resume:
        check_is_free(out, resuming="train who is missing")
    file = out / CONFIG if holds_run(out) else file
    return read_config(UserLoraConfig, file) if file else PRESETS[preset]


def chosen(
    config: UserLoraConfig,
    *,
    task: str,
    split: Split | None,
    stranger: bool,
    backbone: str | None,
    k: int | None,
    queries: int | None,
    **training: Any,  # noqa: ANN401 (fields of a UserTrainingConfig)
) -> UserLoraConfig:
    """Put what was typed in the place of what is configured; what is None was not typed."""
    typed = {name: value for name, value in training.items() if value is not None}
    return replace(
        config,
        task=task,
        split=split or config.split,
        history="stranger" if stranger else config.history,
        queries=config.queries if queries is None else queries,
        backbone=replace(config.backbone, model=backbone or config.backbone.model),
        items=replace(config.items, k=config.items.k if k is None else k),
        training=replace(config.training, **typed),
    )


def fit_users(
    config: UserLoraConfig,
    log: Path,
    *,
    out: Path,
    device: str,
    machine: str,
    on_bad: OnBad | None = None,
    like: Path | None = None,
) -> UserCost:
    """Train an adapter for each user whom the queries ask for, and leave them, with what they cost, in a folder.

    Args:
        config: How.
        log: Of the users, and of the training queries that what they start from is adapted by.
        out: The folder.
        device: Where to compute.
        machine: What it runs on.
        on_bad: Told of each row that cannot be read; an error where it is None.
        like: A run whose users start from the same, where it has got so far.
    """
    run = UserLoraRun(out, config, load_task(config.task))
    if like:
        run.take_start(like)
    prompted = _prompts(run, k=config.items.k, generation=GenerationConfig(), device=device)
    adapters = _adapters(run, prompted)
    examples = split_examples(counted(read_log(log, run.task, on_bad=on_bad), "read"), run.task, split=config.split)
    histories = histories_of(_asked(examples, config))
    if not histories:
        raise ConfigError(
            f"there is no query in the split {config.split!r}",
            hint="personaplug data audit shows what the split leaves",
        )
    if config.adaptation.epochs and not run.has_start:
        _adapt(run, adapters, prompted=prompted, log=log, on_bad=on_bad)
    records: list[AdapterRecord] = []
    with progress("train user-lora", total=len(histories)) as advance:

        def on_user(record: AdapterRecord) -> None:
            records.append(record)
            advance(len(records), f"{record.seconds:.1f} s")

        train_users(
            run,
            adapters,
            histories=histories,
            write=prompted.writer.write,
            max_input_tokens=prompted.writer.max_tokens,
            on_user=on_user,
        )
    cost = _cost(records, machine=machine, adaptation_seconds=run.adaptation_seconds)
    cost.write(out)
    section = prompt_section(prompted.backbone, run.task, has_items=config.items.k > 0)
    write_user_lora_card(run, cost, prompt=section)
    return cost


def _adapt(
    run: UserLoraRun,
    adapters: UserAdapters,
    *,
    prompted: Prompted,
    log: Path,
    on_bad: OnBad | None,
) -> None:
    """Fit what all users start from to the training queries that a plug of the same seed would have."""
    config = run.config
    with Shelf.of(counted(read_log(log, run.task, on_bad=on_bad), "read")) as shelf:
        examples = list(shelf.draw(run.task, "train", config.adaptation.queries or None, seed=config.training.seed))
    if not examples:
        raise ConfigError(
            "there is no query in the split 'train' to adapt to the task by", hint="--set adaptation.epochs=0"
        )
    with progress("adapt to the task") as advance:
        adapt(
            run,
            adapters,
            examples=examples,
            write=prompted.writer.write,
            max_input_tokens=prompted.writer.max_tokens,
            on_step=lambda step, steps: advance(step, "", total=steps),
        )


def _asked(examples: Examples, config: UserLoraConfig) -> Examples:
    """Choose the queries, and whose history they go with, as ``evaluate`` does with the same seed."""
    seed = config.training.seed if config.draw is None else config.draw
    examples = examples.sample(config.queries, seed=seed) if config.queries else examples
    return with_one_stranger_each(examples, seed=seed) if config.history == "stranger" else examples


def _prompts(run: UserLoraRun, *, k: int, generation: GenerationConfig, device: str) -> Prompted:
    config, task = run.config, run.task
    plain = without_items(
        f"{config.method}, {config.items.retriever}" if k else config.method,
        task,
        backbone=load_backbone(config.backbone, device=device),
        generation=generation,
        max_input_tokens=config.training.max_input_tokens,
        max_output_tokens=config.training.max_output_tokens,
    )
    if not k:
        return plain
    retriever = build_retriever(
        config.items.retriever, task, store=None, encoder_name=None, query_source=QuerySource.ENCODER
    )
    return with_items(plain, task, retriever=retriever, k=k, item_tokens=config.items.item_tokens)


def _adapters(run: UserLoraRun, prompted: Prompted) -> UserAdapters:
    return UserAdapters(prompted.backbone, run.config.adapter, seed=run.config.training.seed)


def _cost(records: list[AdapterRecord], *, machine: str, adaptation_seconds: float) -> UserCost:
    trained = [record for record in records if record.items]
    return UserCost.of(
        items=[record.items for record in trained],
        seconds=[record.seconds for record in trained],
        sizes=[record.bytes for record in trained],
        users=len(records),
        machine=machine,
        adaptation_seconds=adaptation_seconds,
    )
