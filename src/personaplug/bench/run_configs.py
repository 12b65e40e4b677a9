"""The configuration of each run of a bench: the recipe's settings, the task's over them, the contender's over both."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from personaplug.bench.layout import Measured, TaskLayout
from personaplug.bench.recipe import Contender, Decoding, Recipe
from personaplug.config import from_mapping, override
from personaplug.plug.encoders import encoder_config
from personaplug.plug.run import PRESETS, RunConfig
from personaplug.rivals.learned_retrieval.run import PRESETS as RETRIEVAL_PRESETS
from personaplug.rivals.learned_retrieval.run import RetrievalConfig
from personaplug.rivals.user_lora.run import PRESETS as USER_LORA_PRESETS
from personaplug.rivals.user_lora.run import UserLoraConfig
from personaplug.workflows.configs import overridden
from personaplug.workflows.overrides import RetrievalOverrides, UserLoraOverrides
from personaplug.workflows.run_kinds import AnyRun


def base_run(recipe: Recipe, layout: TaskLayout, *, seed: int = 0, settings: Sequence[str] = ()) -> RunConfig:
    """Make the run that all contenders on a task have in common: language model, encoder, limits, queries.

    Raises:
        ConfigError: A setting does not fit.
    """
    run = PRESETS[recipe.preset]
    if recipe.backbone:
        run = replace(run, backbone=replace(run.backbone, model=recipe.backbone))
    if recipe.encoder:
        run = replace(run, encoder=encoder_config(recipe.encoder))
    queries = layout.source.train_queries or recipe.train_queries
    training = replace(run.training, queries=queries, dev_queries=recipe.dev_queries)
    run = override(replace(run, training=training), (*recipe.settings, *layout.source.settings, *settings))
    return replace(run, task=layout.task_file, training=replace(run.training, seed=seed))


def decoding_of(recipe: Recipe, base: RunConfig) -> Decoding:
    """Say how answers are decoded: as the recipe says, else as the common run of the task does.

    Raises:
        ConfigError: The run's way is by chance.
    """
    own = {name: getattr(base.decoding, name) for name in ("strategy", "beams", "max_new_tokens")}
    return recipe.decoding or from_mapping(Decoding, own, where="decoding of a recipe")


def run_of(
    recipe: Recipe,
    layout: TaskLayout,
    *,
    contender: Contender,
    seed: int = 0,
    k: int | None = None,
    on: Measured = "test",
    ropg: Sequence[Path] = (),
) -> AnyRun:
    """Make a contender's run; of one that is not trained, what it takes language model and limits from.

    Learned retrieval and adapters take language model, encoder, queries and token limits from the common run; their
    contender's own settings say the rest.

    Args:
        recipe: The recipe.
        layout: The task's.
        contender: The contender.
        seed: Of everything random.
        k: Items in a prompt, where there are any.
        on: Whom adapters are for: users of dev queries, those who are measured, or the strangers of these.
        ropg: Trained retrievers that a trained choice chooses from.

    Raises:
        ConfigError: A setting does not fit.
    """
    if contender.kind.learns == "prefix":
        run = base_run(recipe, layout, seed=seed, settings=contender.settings)
        items = replace(run.items, k=k) if k and contender.kind.items else run.items
        return replace(run, method=contender.method, items=items)  # type: ignore[arg-type]
    base = base_run(recipe, layout, seed=seed)
    if contender.kind.is_per_user:
        return _adapters_run(recipe, layout, contender=contender, base=base, k=k, on=on)
    if contender.kind.is_learned_retrieval:
        return _learned_run(recipe, layout, contender=contender, base=base, k=k, ropg=ropg)
    return override(base, contender.settings)


def _learned_run(
    recipe: Recipe, layout: TaskLayout, *, contender: Contender, base: RunConfig, k: int | None, ropg: Sequence[Path]
) -> RetrievalConfig:
    seed, limits = base.training.seed, base.training
    said = RetrievalOverrides(
        task=base.task,
        method=contender.method,  # type: ignore[arg-type] # of this kind
        k=k,
        queries=limits.queries,
        dev_queries=limits.dev_queries,
        seed=seed,
        max_input_tokens=limits.max_input_tokens,
        max_output_tokens=limits.max_output_tokens,
        max_new_tokens=decoding_of(recipe, base).max_new_tokens,
        item_tokens=base.items.item_tokens,
        ropg=tuple(ropg),
    )
    preset, out = RETRIEVAL_PRESETS[recipe.preset], layout.run(contender, seed, k=k)
    run = overridden(preset, said, settings=contender.settings, out=out)
    return replace(run, encoder=base.encoder, backbone=base.backbone)


def _adapters_run(
    recipe: Recipe, layout: TaskLayout, *, contender: Contender, base: RunConfig, k: int | None, on: Measured
) -> UserLoraConfig:
    limits, retriever, preset = base.training, contender.kind.items, USER_LORA_PRESETS[recipe.preset]
    said = UserLoraOverrides(
        task=layout.task_file,
        split="dev" if on == "dev" else recipe.split,
        history="stranger" if on == "stranger" else None,
        k=k if retriever else None,
        queries=recipe.dev_queries if on == "dev" else recipe.test_queries,
        seed=limits.seed,
        max_input_tokens=limits.max_input_tokens,
        max_output_tokens=limits.max_output_tokens,
    )
    run = overridden(replace(preset, draw=recipe.draw), said, out=layout.run(contender, limits.seed, k=k, on=on))
    choosing = retriever or run.items.retriever
    items = replace(run.items, retriever=choosing, item_tokens=base.items.item_tokens)  # type: ignore[arg-type]
    # The queries that plug and tuned prompt learn from: as often, or as a preset that adapts to the task says.
    adaptation = replace(preset.adaptation, queries=limits.queries)
    if not adaptation.epochs:
        adaptation = replace(adaptation, epochs=limits.epochs, batch_size=limits.batch_size)
    run = replace(run, backbone=base.backbone, items=items, adaptation=adaptation)
    return override(run, contender.settings)
