"""What only a recipe's own keys may say, so that it is the same for all contenders, or what they are named by."""

from collections.abc import Sequence

from personaplug.bench.recipe import Contender, Recipe
from personaplug.errors import ConfigError

RESERVED = {
    "encoder.model": "encoder",
    "backbone.model": "backbone",
    "training.queries": "train_queries",
    "adaptation.queries": "train_queries",
    "training.dev_queries": "dev_queries",
    "training.seed": "seeds",
    "fitting.dev_queries": "dev_queries",
    "fitting.seed": "seeds",
    "items.k": "k",
    "items.retriever": "methods",
    "selection.k": "k",
    "selection.ropg": "methods",
    "selection.ropg_digests": "methods",
    "scoring.max_new_tokens": "decoding",
    "method": "methods",
    "task": "tasks",
    "store": "encoder",
    "published_views": "preset",
    "fingerprint": "encoder",
    "split": "split",
    "queries": "test_queries",
    "history": "strangers",
    "draw": "draw",
}
"""Settings of runs, and the key of a recipe that says the same."""

LIMITS = ("training.max_input_tokens", "training.max_output_tokens")
ITEM_LIMIT = "items.item_tokens"
"""Settings that decide what a contender does that is not trained, and that shows items."""


def check_reserved(recipe: Recipe) -> None:
    """Refuse settings that belong to the bench.

    Raises:
        ConfigError: There is one; it says where, and which key of the recipe to use.
    """
    _check(recipe.settings, "the recipe")
    for source in recipe.tasks:
        _check(source.settings, f"the task {source.task!r}")
    for contender in recipe.contenders:
        _check_contender(contender)


def _check_contender(contender: Contender) -> None:
    where = f"the variant {contender.name!r}"
    if contender.k and not contender.kind.items:
        raise ConfigError(f"{where} sets k, but {contender.method} has no retrieved items", hint="leave its k out")
    _check(contender.settings, where)
    for name in map(_name, contender.settings):
        if name.startswith(("encoder.", "backbone.")):
            raise ConfigError(
                f"{where} sets {name}: it would have another encoder or language model than the others",
                hint="set encoder and backbone for the whole recipe, or write another recipe",
            )
        read = (*LIMITS, ITEM_LIMIT) if contender.kind.shows_items else LIMITS
        if not contender.kind.learns and name not in read:
            raise ConfigError(
                f"{where} sets {name}, which {contender.method} does not read", hint=f"it reads {', '.join(read)}"
            )


def _check(settings: Sequence[str], where: str) -> None:
    for name in map(_name, settings):
        if name in RESERVED:
            raise ConfigError(
                f"{where} sets {name}, which is the bench's", hint=f"use the recipe's key {RESERVED[name]}"
            )


def _name(setting: str) -> str:
    return setting.partition("=")[0].strip()
