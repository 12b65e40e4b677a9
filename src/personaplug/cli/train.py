"""``personaplug train``: fit the plug, the tuned prompt that is its control, or a rival that learns."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from personaplug.cli.options import ABOVE_ZERO
from personaplug.cli.skipping import bad_rows, skipping
from personaplug.method_kinds import RUNS, kind_of
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run_folder import CONFIG, holds_run

if TYPE_CHECKING:
    from personaplug.data.rows import OnBad
    from personaplug.embedder.encoder import EncoderConfig
    from personaplug.evaluation.user_cost import UserCost
    from personaplug.plug.run import RunConfig
    from personaplug.store.bank import Bank
    from personaplug.store.sqlite import PersonaStore
    from personaplug.tasks.task import Split
    from personaplug.training.choosing import Chosen
    from personaplug.training.progress import Fitted


@click.command()
@click.argument("log", type=click.Path(path_type=Path))
@click.option("--task", "task_name", required=True, help="A built-in task or a .toml file.")
@click.option("--store", "store_path", type=click.Path(path_type=Path), help="The index of the log.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option("--backbone", help="The frozen language model: nano, a Hugging Face name, a folder, or a .gguf file.")
@click.option("--encoder", help="The frozen encoder, as given to index; by default the one that the store names.")
@click.option("--config", type=click.Path(path_type=Path), help="A run's config.toml, in place of a preset.")
@click.option(
    "--preset",
    type=click.Choice(["default", "paper"]),
    default="default",
    show_default=True,
    help="Whose settings.",
)
@click.option(
    "--method",
    type=click.Choice(RUNS),
    help="Persona, or its control without users, each alone or with retrieved items in the prompt (+bm25, +dense); a "
    "trained retriever (ropg) or choice of retriever (rspg); or an adapter for each user.",
)
@click.option(
    "--split", type=click.Choice(["train", "dev", "test"]), help="user-lora: whose users get adapters; by default test."
)
@click.option("--stranger", is_flag=True, help="user-lora: adapters for `evaluate --stranger`.")
@click.option("--epochs", type=ABOVE_ZERO, help="Passes over the training queries, or over each user's history.")
@click.option("--batch-size", type=click.IntRange(1), help="Queries a step.")
@click.option("--max-input-tokens", type=click.IntRange(1), help="Longer inputs are cut at their end.")
@click.option("--max-output-tokens", type=click.IntRange(2), help="Longer answers are cut.")
@click.option("--seed", type=int, help="Of everything random.")
@click.option("--limit", "queries", type=click.IntRange(1), help="Train with so many queries, drawn with the seed.")
@click.option("--score", type=click.Choice(["likelihood", "metric"]), help="ropg, rspg: what to learn from.")
@click.option("--ropg", type=click.Path(path_type=Path), multiple=True, help="rspg: a trained retriever's run; repeat.")
@click.option("-k", "--k", type=click.IntRange(1), help="+bm25, +dense, rspg, user-lora: items in a prompt.")
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="Any setting of a run's config.toml; repeatable."
)
@click.option("--resume", is_flag=True, help="Go on where the run in --out was stopped, with the configuration there.")
@click.option("--json", "as_json", is_flag=True, help="Write the outcome as JSON.")
@skipping
def train(
    log: Path,
    task_name: str,
    store_path: Path | None,
    out: Path,
    backbone: str | None,
    encoder: str | None,
    config: Path | None,
    preset: str,
    method: str | None,
    score: str | None,
    ropg: tuple[Path, ...],
    split: "Split | None",
    stranger: bool,
    k: int | None,
    settings: tuple[str, ...],
    resume: bool,
    as_json: bool,
    skip_bad: bool,
    **training: Any,  # noqa: ANN401 (fields of a TrainingConfig)
) -> None:
    """Fit the plug, or a rival, on a log's training queries; the language model stays as it is.

    \b
    Examples:
      personaplug train log.jsonl --task log --store log.db --out runs/plug
      personaplug train log.jsonl --task log --method tuned-prompt --out runs/tuned-prompt
      personaplug train log.jsonl --task log --store log.db --method plug+bm25 -k 2 --out runs/mixed
      personaplug train log.jsonl --task log --store log.db --out runs/chat --backbone Qwen/Qwen3-0.6B \\
        --set training.patience=3
      personaplug train log.jsonl --task log --store log.db --out runs/gguf --backbone models/SmolLM2.gguf
      personaplug train log.jsonl --task log --method ropg-kd --store log.db --out runs/kd
      personaplug train log.jsonl --task log --method rspg-pre --ropg runs/kd -k 2 --store log.db --out runs/choice
      personaplug train log.jsonl --task log --method user-lora --split test --out runs/user-lora
    """
    from personaplug.cli.encoders import encoder_config
    from personaplug.cli.screen import notes
    from personaplug.cli.train_retrieval import fit_retrieval, retrieval_run
    from personaplug.cli.wiring import run_config
    from personaplug.config import override, read_values

    config = out / CONFIG if resume and holds_run(out) else config
    method = method or (str(read_values(config).get("method", "plug")) if config else "plug")
    _refuse_unread(
        method,
        {
            "--score": score,
            "--ropg": ropg,
            "--split": split,
            "--stranger": stranger,
            "-k": k,
            "--encoder": encoder,
            "--store": store_path,
        },
    )
    asks_store = not (encoder or config or any(setting.startswith("encoder.") for setting in settings))
    kind = kind_of(method)
    if kind.is_learned_retrieval:
        words = {"task": task_name, "method": method, "score": score, "k": k, "encoder": encoder, "backbone": backbone}
        rival = retrieval_run(config, preset, words=words | training, settings=settings, ropg=ropg, out=out)
        if asks_store and store_path:
            rival = replace(rival, encoder=_encoder_of_store(store_path, rival.encoder))
        with bad_rows(skip_bad) as on_bad:
            chosen = fit_retrieval(rival, log, out=out, store_path=store_path, resume=resume, on_bad=on_bad)
        _tell(chosen, chosen.words, out=out, as_json=as_json)
        return
    if kind.learns == "adapters":
        words = {"task": task_name, "split": split, "stranger": stranger, "k": k, "backbone": backbone}
        with bad_rows(skip_bad) as on_bad:
            cost = train_users(
                log,
                config,
                words=words | training,
                settings=settings,
                out=out,
                resume=resume,
                on_bad=on_bad,
                preset=preset,
            )
        each = f"{cost.seconds_a_user:.1f} s and {cost.bytes_a_user / 1e6:.2f} MB a user"
        _tell(cost, f"{cost.users:,} users' adapters, {each}", out=out, as_json=as_json)
        return
    run = run_config(config, preset)
    if backbone:
        run = replace(run, backbone=replace(run.backbone, model=backbone))
    elif preset == "paper" and config is None and not resume:
        notes().print(f"The paper's preset answers with {run.backbone.model}; --backbone nano works offline.")
    if encoder:
        run = replace(run, encoder=encoder_config(encoder))
    given: dict[str, Any] = {name: value for name, value in training.items() if value is not None}
    run = replace(run, task=task_name, training=replace(run.training, **given))
    run = replace(run, method=method)  # type: ignore[arg-type]  # click's choices are the field's
    run = replace(run, items=replace(run.items, k=k)) if k else run
    run = override(run, settings)
    if asks_store and store_path and run.reads_vectors:
        run = replace(run, encoder=_encoder_of_store(store_path, run.encoder))
    with bad_rows(skip_bad) as on_bad:
        fitted = fit(run, log, out=out, store_path=store_path, resume=resume, on_bad=on_bad)
    dev = "" if fitted.dev_loss is None else f", {fitted.dev_loss:.3f} nats a token on dev"
    _tell(fitted, f"{fitted.steps:,} steps in {fitted.seconds:.0f} s{dev}", out=out, as_json=as_json)


def _refuse_unread(method: str, given: Mapping[str, object]) -> None:
    """Refuse options that a method would leave unread; the value of one that was not given is empty."""
    kind, typed = kind_of(method), {option for option, value in given.items() if value}
    if not kind.is_learned_retrieval and typed & {"--score", "--ropg"}:
        raise click.UsageError("--score and --ropg go with --method ropg or rspg")
    if kind.learns != "adapters" and typed & {"--split", "--stranger"}:
        raise click.UsageError("--split and --stranger go with --method user-lora")
    if "-k" in typed and kind.learns == "ranker":
        raise click.UsageError(f"-k goes with evaluate: {method} learns from prompts of one item each")
    if "-k" in typed and not kind.is_trained_for_k and kind.learns != "adapters":
        raise click.UsageError("-k goes with --method rspg, user-lora, +bm25 or +dense")
    if kind.learns == "adapters" and typed & {"--encoder", "--store"}:
        raise click.UsageError(
            "--encoder and --store do not go with --method user-lora: name its language model with --backbone"
        )


def _encoder_of_store(path: Path, preset: "EncoderConfig") -> "EncoderConfig":
    """Take the encoder that made a store's vectors, where nobody has named one."""
    from personaplug.cli.encoders import encoder_named_by
    from personaplug.cli.screen import notes
    from personaplug.store.sqlite import PersonaStore

    with PersonaStore.open(path) as store:
        found = encoder_named_by(store.layout, instead_of=preset)
    if found != preset:
        notes().print(
            f"{path} was indexed with {found.model}: that encoder is taken, not {preset.model}.", markup=False
        )
    return found


def _tell(outcome: "Fitted | Chosen | UserCost", words: str, *, out: Path, as_json: bool) -> None:
    from personaplug.cli.screen import print_json

    if as_json:
        print_json(outcome)
    else:
        click.echo(f"{out}: {words}")


def train_users(
    log: Path,
    config: Path | None,
    *,
    words: dict[str, Any],
    settings: Sequence[str] = (),
    out: Path,
    resume: bool,
    on_bad: "OnBad | None" = None,
    preset: str = "default",
) -> "UserCost":
    """Train an adapter for each user of a split, as a configuration file or preset and the words of the command say."""
    from personaplug.cli.encoders import start_torch
    from personaplug.cli.evaluate import this_machine
    from personaplug.cli.user_lora import chosen, fit_users, user_lora_config
    from personaplug.config import override

    configured = user_lora_config(config, out=out, resume=resume, preset=preset)
    run = override(chosen(configured, **words), settings)
    return fit_users(run, log, out=out, device=start_torch(), machine=this_machine(), on_bad=on_bad)


def fit(
    run: "RunConfig",
    log: Path,
    *,
    out: Path,
    store_path: Path | None,
    resume: bool = False,
    on_bad: "OnBad | None" = None,
) -> "Fitted":
    """Train a run on a log and leave it, with its model card, in a folder."""
    from personaplug.cli.encoders import start_torch
    from personaplug.cli.queries import draw_queries
    from personaplug.cli.screen import progress
    from personaplug.cli.wiring import check_room
    from personaplug.plug.model import build_plug
    from personaplug.plug.run_file import way_to
    from personaplug.store.sqlite import PersonaStore
    from personaplug.tasks.task import load_task
    from personaplug.training.checkpoints import starting_point
    from personaplug.training.trainer import train as train_plug

    starting_point(out, resume=resume)  # the trainer asks again: that a folder is taken should show before the work
    task = run.form_of(load_task(run.task))
    with ExitStack() as opened:
        store = opened.enter_context(PersonaStore.open(store_path)) if store_path else None
        run = replace(run, store=way_to(store_path, folder=out) if store_path else "")
        plug = build_plug(run, task, store=store, device=start_torch(), query_source=QuerySource.STORE)
        check_room(plug)
        seen = task if run.retriever else task.for_persona()
        examples, dev = draw_queries(log, seen, draw=run.training, on_bad=on_bad)
        if store and plug.source:
            plug.read_from(snapshot_of(store))
        advance = opened.enter_context(progress(f"train {run.method}"))
        return train_plug(
            plug,
            examples,
            dev=dev,
            folder=out,
            resume=resume,
            on_progress=lambda now: advance(now.step, now.words, total=now.steps),
            on_encoded=lambda done, total: advance(done, "queries encoded", total=total),
        )


def snapshot_of(store: "PersonaStore") -> "Bank":
    """Give the store's memory-mapped snapshot, kept beside it and made anew when the store has changed."""
    from personaplug.errors import StoreError
    from personaplug.store.bank import Bank
    from personaplug.store.snapshots import beside

    folder = beside(store.path)
    try:
        bank = Bank.open(folder)
    except StoreError:
        return store.snapshot(folder)
    if not bank.is_current(store):
        return store.snapshot(folder)
    store.remember(folder)  # it may have been made under another name, or before the store was restored
    return bank
