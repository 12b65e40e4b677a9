"""Language models that are loaded as a whole or not at all: transformers puts random weights where it finds none."""

from typing import Any

from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedConfig, PreTrainedModel

from personaplug.errors import ConfigError


def load_whole(name: str, settings: PreTrainedConfig, **how: Any) -> PreTrainedModel:  # noqa: ANN401 (transformers')
    """Load a model of whichever family.

    Args:
        name: What the model is called in an error.
        settings: What it says of itself.
        how: For ``from_pretrained``, the place among it.

    Raises:
        ConfigError: Weights are not there, or of another size.
    """
    family = AutoModelForSeq2SeqLM if settings.is_encoder_decoder else AutoModelForCausalLM
    loaded: Any = family.from_pretrained(**how, output_loading_info=True, ignore_mismatched_sizes=True)
    model, report = loaded
    others = sorted(key for key, *_ in report["mismatched_keys"])
    for names, fault in ((sorted(report["missing_keys"]), "lacks"), (others, "has in another size")):
        if names:
            raise ConfigError(
                f"{name} {fault} {len(names)} of the {settings.model_type} model's weights, such as {names[0]}",
                hint="give another file of this model, or its whole folder in Hugging Face's format",
            )
    whole: PreTrainedModel = model
    return whole
