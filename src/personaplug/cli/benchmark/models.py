"""Whether a recipe's models are at hand and have room, found without loading a large one."""

from transformers import AutoConfig, PreTrainedConfig

from personaplug.cli.benchmark.kinds import is_retrieval, needs_store
from personaplug.cli.benchmark.place import TaskPlace
from personaplug.cli.benchmark.recipe import Recipe
from personaplug.cli.benchmark.runs import base_run
from personaplug.cli.encoders import build_encoder, layout_of
from personaplug.errors import ConfigError
from personaplug.nano import load_nano
from personaplug.plug.backbone import positions_in
from personaplug.plug.loading import BackboneConfig, read_settings
from personaplug.store.sqlite import PersonaStore


def check_models(recipe: Recipe, place: TaskPlace) -> None:
    """Refuse models that are not at hand, and prompts that the language model has no positions for.

    Raises:
        ConfigError: There are such.
    """
    run = base_run(recipe, place)
    if any(needs_store(contender.method) for contender in recipe.contenders):
        _check_encoder(run.encoder.model, run.encoder.revision)
    limits = run.training
    longest = max(limits.max_output_tokens, recipe.decoding.max_new_tokens)
    positions = positions_in(_settings(run.backbone), answer_tokens=longest)
    items = max(recipe.k) if any(is_retrieval(contender.method) for contender in recipe.contenders) else 0
    if positions is not None and min(limits.max_input_tokens, positions) + items > positions:
        raise ConfigError(
            f"{place.task.name}: inputs of {limits.max_input_tokens} tokens and {items} items: {run.backbone.model!r} "
            f"has room for {max(0, positions)}, beside answers of {longest}",
            hint='smaller k, or settings = ["training.max_input_tokens=..."]',
        )


def check_store(recipe: Recipe, place: TaskPlace) -> None:
    """Refuse a store whose vectors are not those of the encoder at hand.

    Raises:
        FingerprintMismatchError: They are another's.
    """
    with PersonaStore.open(place.store) as store:
        encoder = build_encoder(base_run(recipe, place).encoder.model, like=store.layout)
        layout_of(encoder, place.task).check(store.layout, where=str(place.store))


def _settings(config: BackboneConfig) -> PreTrainedConfig:
    return load_nano().model.config if config.model == "nano" else read_settings(config)


def _check_encoder(name: str, revision: str) -> None:
    if name == "minilm":
        return
    try:
        AutoConfig.from_pretrained(name, revision=revision or None, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the encoder {name!r} cannot be loaded: {str(error).splitlines()[0]}",
            hint="give minilm, a Hugging Face model name, or the folder of a model",
        ) from error
