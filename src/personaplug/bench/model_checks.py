"""Whether a recipe's models are at hand and have room, found without loading a large one."""

from transformers import PreTrainedConfig

from personaplug.backbone.device import start_torch
from personaplug.backbone.loading import read_settings
from personaplug.backbone.positions import input_positions
from personaplug.bench.layout import TaskLayout
from personaplug.bench.recipe import Contender, Recipe
from personaplug.bench.run_configs import base_run, decoding_of, run_of
from personaplug.errors import ConfigError
from personaplug.plug.encoders import check_encoder, encoder_of_store
from personaplug.plug.run import RunConfig
from personaplug.records import fill
from personaplug.rivals.learned_retrieval.run import RetrievalConfig
from personaplug.store.persona_store import PersonaStore


def check_models(recipe: Recipe, layout: TaskLayout) -> None:
    """Refuse models that are not at hand, and prompts that the language model has no positions for.

    Raises:
        ConfigError: There are such.
    """
    start_torch()
    run = base_run(recipe, layout)
    if any(contender.kind.reads_vectors for contender in recipe.contenders):
        check_encoder(run.encoder)
    settings = read_settings(run.backbone)
    for contender in filter(lambda each: each.kind.learns == "selector", recipe.contenders):
        chooser = run_of(recipe, layout, contender=contender, k=recipe.numbers(contender)[0])
        if isinstance(chooser, RetrievalConfig) and chooser.selection.encoder:
            check_encoder(chooser.selection.reader)
    for contender in recipe.contenders:
        _check_room(recipe, layout, contender=contender, settings=settings)


def check_store(recipe: Recipe, layout: TaskLayout) -> None:
    """Refuse a store whose vectors are not those of the encoder at hand.

    Raises:
        FingerprintMismatchError: They are another's.
    """
    with PersonaStore.open(layout.store) as store:
        encoder_of_store(base_run(recipe, layout).encoder, layout.task, store=store, device=start_torch())


def _check_room(recipe: Recipe, layout: TaskLayout, *, contender: Contender, settings: PreTrainedConfig) -> None:
    """Refuse a prompt that has no room: the input, a token at least of each item, and a plug's vectors before both.

    A plug's input is never cut to make room for its vectors; a written prompt's is.
    """
    run = run_of(recipe, layout, contender=contender, k=max(recipe.numbers(contender)))
    limits = run.scoring if isinstance(run, RetrievalConfig) else run.training
    longest = max(limits.max_output_tokens, decoding_of(recipe, base_run(recipe, layout)).max_new_tokens)
    positions = input_positions(settings, answer_tokens=longest)
    if positions is None:
        return
    has_room_beside = contender.kind.items and not layout.task.retrieval.input_share
    items = max(recipe.numbers(contender)) if has_room_beside else 0
    vectors = run.vectors if isinstance(run, RunConfig) and contender.kind.learns == "prefix" else 0
    inputs = limits.max_input_tokens if vectors else min(limits.max_input_tokens, positions)
    # A byte is a token at most: what stands between items and input is counted so, for the tokenizer is not at hand.
    around = len(fill(layout.task.retrieval.prompt, {"items": "", "prompt": ""}).encode()) if items else 0
    taken = items + around
    if items and isinstance(run, RunConfig) and contender.kind.learns == "prefix" and contender.kind.items:
        # A mixed run's items have all the room that the answers of its training leave; it answers with as much.
        in_training = input_positions(settings, answer_tokens=limits.max_output_tokens) or 0
        taken = max(taken, min(items * run.items.item_tokens + around, in_training - inputs - vectors))
    if positions < 1 or inputs + taken + vectors > positions:
        raise ConfigError(
            f"{layout.task.name}, {contender.name}: inputs of {limits.max_input_tokens} tokens, {items} items among "
            f"{around} bytes of other words, and {vectors} vectors: {run.backbone.model!r} has room for "
            f"{max(0, positions)}, beside answers of {longest}",
            hint='smaller k, or settings = ["training.max_input_tokens=..."]',
        )
