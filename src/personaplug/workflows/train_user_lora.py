"""Train one adapter for each user of a split."""

from pathlib import Path

from personaplug.backbone.base import GenerationConfig
from personaplug.backbone.device import start_torch, this_machine
from personaplug.backbone.precision import for_steps
from personaplug.backbone.tokens import Place
from personaplug.data.log import read_log
from personaplug.data.log_url import LogAddress
from personaplug.data.split import Examples, split_examples
from personaplug.data.stranger import with_one_stranger_each
from personaplug.data.user_grouped_log import UserGroupedLog
from personaplug.errors import ConfigError
from personaplug.methods.prompted import Prompted
from personaplug.plug.run_folder import check_is_free
from personaplug.rivals.user_lora.adapter_folder import AdapterRecord
from personaplug.rivals.user_lora.adapters import UserAdapters
from personaplug.rivals.user_lora.card import write_user_lora_card
from personaplug.rivals.user_lora.cost import UserCost
from personaplug.rivals.user_lora.history_examples import histories_of
from personaplug.rivals.user_lora.method import adapters_of, prompts_of
from personaplug.rivals.user_lora.run import UserLoraConfig
from personaplug.rivals.user_lora.run_folder import UserLoraFolder
from personaplug.rivals.user_lora.training import adapt, train_users
from personaplug.tasks.task import load_task
from personaplug.training.prompt_section import prompt_section
from personaplug.workflows.progress import SILENT, Progress, counted


def fit_users(
    config: UserLoraConfig,
    log: LogAddress,
    *,
    out: Path,
    resume: bool = False,
    like: Path | None = None,
    progress: Progress = SILENT,
) -> UserCost:
    """Train an adapter for each user whom the queries ask for, and leave them, with what they cost, in a folder.

    Args:
        config: How.
        log: Of the users, and of the training queries that what they start from is adapted by.
        out: The folder.
        resume: Go on with whoever is missing in the folder.
        like: A run whose users start from the same, where it has got so far.
        progress: Shows how far it is, and hears of rows that cannot be read.

    Raises:
        ConfigError: The folder holds a run that is not to be resumed, or there is no query to train for.
    """
    if not resume:
        check_is_free(out, resuming="train who is missing")
    run = UserLoraFolder(out, config, load_task(config.task))
    if like:
        run.take_start(like)
    prompted = prompts_of(run, k=config.items.k, generation=GenerationConfig(), device=start_torch())
    place: Place = "after" if config.adapter.reads == "answer" else "before"
    backbone = for_steps(prompted.backbone, run.precision, place=place)
    run = run.in_precision(backbone.dtype)
    adapters = adapters_of(run, backbone)
    rows = counted(read_log(log, run.task, on_bad=progress.bad_row), "read", progress=progress)
    examples = split_examples(rows, run.task, split=config.split)
    histories = histories_of(_asked(examples, config))
    if not histories:
        raise ConfigError(
            f"there is no query in the split {config.split!r}",
            hint="personaplug data audit shows what the split leaves",
        )
    if config.adaptation.epochs and not run.has_start:
        _adapt(run, adapters, prompted=prompted, log=log, progress=progress)
    records: list[AdapterRecord] = []
    with progress.bar("train user-lora", total=len(histories)) as advance:

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
    cost = _cost(records, machine=this_machine(), adaptation_seconds=run.adaptation_seconds)
    cost.write(out)
    section = prompt_section(prompted.backbone, run.task, has_items=config.items.k > 0)
    write_user_lora_card(run, cost, prompt=section)
    return cost


def _adapt(
    run: UserLoraFolder,
    adapters: UserAdapters,
    *,
    prompted: Prompted,
    log: LogAddress,
    progress: Progress,
) -> None:
    """Fit what all users start from to the training queries that a plug of the same seed would have."""
    config = run.config
    with UserGroupedLog.of(
        counted(read_log(log, run.task, on_bad=progress.bad_row), "read", progress=progress)
    ) as grouped:
        examples = list(grouped.draw(run.task, "train", config.adaptation.queries or None, seed=config.training.seed))
    if not examples:
        raise ConfigError(
            "there is no query in the split 'train' to adapt to the task by", hint="--set adaptation.epochs=0"
        )
    with progress.bar("adapt to the task") as advance:
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
