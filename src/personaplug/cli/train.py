"""``personaplug train``: fit the plug, the tuned prompt that is its control, or a rival that learns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from personaplug.cli.options import ABOVE_ZERO, LOG, STORE
from personaplug.cli.ray_option import cluster_at, ray_option
from personaplug.cli.skipping import bad_rows, skipping
from personaplug.method_kinds import METHOD_KINDS, RUNS, MethodKind, kind_of
from personaplug.models.catalog import DEFAULT
from personaplug.workflows.overrides import (
    Overrides,
    PlugOverrides,
    RetrievalOverrides,
    UserLoraOverrides,
    overrides_for,
)

if TYPE_CHECKING:
    from personaplug.data.log_url import LogAddress
    from personaplug.store.address import Address
    from personaplug.workflows.train import Outcome

_SAID = {each.name for kind in (PlugOverrides, RetrievalOverrides, UserLoraOverrides) for each in fields(kind)}


class TrainCommand(click.Command):
    """A command whose help shows what the method reads that was typed with it: a plug's where none was."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Look for the method first: ``--help`` ends the parsing wherever it stands."""
        ctx.meta["method"] = _value_of("--method", args) or _method_in_file(_value_of("--config", args))
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options that the method reads."""
        kind = METHOD_KINDS.get(ctx.meta.get("method", ""), METHOD_KINDS["plug"])
        options = (each for each in self.get_params(ctx) if isinstance(each, click.Option))
        read = [option for option in options if _is_read(option.name or "", kind)]
        with formatter.section(f"Options of --method {kind.name}"):
            formatter.write_dl([record for record in (option.get_help_record(ctx) for option in read) if record])
        others = ", ".join(name for name in RUNS if name != kind.name)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(f"Other methods read others: personaplug train --method NAME --help. NAME: {others}.")


@click.command(cls=TrainCommand)
@click.argument("log", type=LOG, metavar="LOG")
@click.option("--task", required=True, help="A built-in task or a .toml file.")
@click.option("--store", "store_path", type=STORE, help="The index of the log.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder of the run.")
@click.option(
    "--backbone",
    help=f"The frozen language model: {DEFAULT} (the default), a Hugging Face name, a folder, or a .gguf file.",
)
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
    help="Persona (plug), or a control without users (tuned-...): alone, or with items in the prompt (+bm25, +dense). "
    "Or a trained retriever (ropg), a trained choice of one (rspg), or an adapter for each user.",
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
@ray_option("Train in many processes")
@click.option(
    "--ray-workers",
    type=click.IntRange(1),
    help="With --ray: so many processes train together, each on a GPU of the cluster or, where there is none, a CPU.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the outcome as JSON.")
@skipping
def train(
    log: "LogAddress",
    *,
    store_path: "Address | None",
    out: Path,
    config: Path | None,
    preset: str,
    method: str | None,
    settings: tuple[str, ...],
    resume: bool,
    ray_address: str | None,
    ray_workers: int | None,
    as_json: bool,
    skip_bad: bool,
    **said: Any,  # noqa: ANN401 (fields of an Overrides)
) -> None:
    """Fit the plug, or a rival, on a log's training queries; the language model stays as it is.

    LOG is a file or, of Parquet, a folder of files or an address such as s3://bucket/log.

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
      personaplug train log.jsonl --task log --store log.db --out runs/plug --ray --ray-workers 2
    """
    from personaplug.cli.launched import leave, part, speaks
    from personaplug.cli.screen import Bars
    from personaplug.plug.run import RunConfig
    from personaplug.workflows.cluster import on_ray
    from personaplug.workflows.configs import config_file, configured_method, overridden, with_encoder_of_store
    from personaplug.workflows.progress import Silence
    from personaplug.workflows.run_kinds import read_or_preset
    from personaplug.workflows.train import train as train_here

    if bool(ray_address) != bool(ray_workers):
        raise click.UsageError("--ray and --ray-workers go together: where to train, and in how many processes")
    shown = Bars if speaks() else Silence
    config = config_file(out, config, resume=resume)
    method = method or configured_method(config)
    kind = kind_of(method)
    _refuse_unread(kind, said | {"store_path": store_path})
    said["history"] = "stranger" if said.pop("stranger") else None
    run = read_or_preset(kind, config, preset=preset)
    run = overridden(run, _overrides(kind, said | {"method": method}), settings=settings, out=out)
    names_encoder = said["encoder"] or config or any(setting.startswith("encoder.") for setting in settings)
    if store_path and not names_encoder:
        run = with_encoder_of_store(run, store_path, progress=shown())
    if isinstance(run, RunConfig) and preset == "paper" and not (said["backbone"] or config):
        shown().note(f"The paper's preset answers with {run.backbone.model}; --backbone {DEFAULT} works offline.")
    fit: Callable[..., Outcome] = train_here
    if ray_address:
        cluster = cluster_at(ray_address, ray_workers)
        ray_training = on_ray("ray_training", feature="training on a Ray cluster")
        fit = partial(ray_training.train_on_cluster, cluster=cluster)
    with bad_rows(skip_bad) as on_bad:
        outcome = fit(run, log, out=out, store=store_path, resume=resume, progress=shown(on_bad))
    part()
    if speaks():
        _tell(outcome, out=out, as_json=as_json)
    leave()


def _value_of(option: str, args: Sequence[str]) -> str:
    """Find the value of an option among the words of a command, the last as click does; empty where there is none."""
    found = ""
    for at, word in enumerate(args):
        name, equals, value = word.partition("=")
        if name == option:
            found = value if equals else "".join(args[at + 1 : at + 2])
    return found


def _method_in_file(name: str) -> str:
    """Read which method a configuration is of, for the help; empty where there is no such file, or a broken one."""
    from personaplug.config import read_values
    from personaplug.errors import ConfigError

    try:
        return str(read_values(Path(name)).get("method", "")) if name else ""
    except ConfigError:  # said when the file is read to be used
        return ""


def _overrides(kind: MethodKind, said: Mapping[str, Any]) -> Overrides:
    """Put what was typed into the class of the method's kind of run."""
    made = overrides_for(kind)
    return made(**{each.name: said[each.name] for each in fields(made) if each.name in said})


def _is_read(option: str, kind: MethodKind) -> bool:
    """Tell whether a method reads an option, by its parameter's name."""
    by_rule = {
        "k": kind.is_trained_for_k or kind.learns == "adapters",
        "ropg": kind.learns == "selector",
        "encoder": kind.reads_vectors,
        "store_path": kind.learns != "adapters",
        "stranger": kind.learns == "adapters",
        "method": True,
    }
    if option in by_rule:
        return by_rule[option]
    return option not in _SAID or option in {each.name for each in fields(overrides_for(kind))}


def _refuse_unread(kind: MethodKind, said: Mapping[str, object]) -> None:
    """Refuse options that a method would leave unread; the value of one that was not given is empty."""
    unread = {option for option, value in said.items() if value and not _is_read(option, kind)}
    if unread & {"score", "ropg"} and not kind.is_learned_retrieval:
        raise click.UsageError("--score and --ropg go with --method ropg or rspg")
    if unread & {"split", "stranger"}:
        raise click.UsageError("--split and --stranger go with --method user-lora")
    if "k" in unread and kind.learns == "ranker":
        raise click.UsageError(f"-k goes with evaluate: {kind.name} learns from prompts of one item each")
    if "k" in unread:
        raise click.UsageError("-k goes with --method rspg, user-lora, +bm25 or +dense")
    if unread & {"encoder", "store_path"} and kind.learns == "adapters":
        raise click.UsageError(
            "--encoder and --store do not go with --method user-lora: name its language model with --backbone"
        )
    for option in sorted(unread - {"ropg", "encoder"}):  # of these the run says what is wrong, or they do no harm
        raise click.UsageError(f"--method {kind.name} reads no --{option.replace('_', '-')}")


def _tell(outcome: "Outcome", *, out: Path, as_json: bool) -> None:
    from personaplug.cli.screen import print_json

    if as_json:
        print_json(outcome)
    else:
        click.echo(f"{out}: {outcome.summary}")
