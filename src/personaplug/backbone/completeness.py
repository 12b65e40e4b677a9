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
    missing = sorted(key for key in report["missing_keys"] if not _is_computed(model, key))
    others = sorted(key for key, *_ in report["mismatched_keys"])
    for names, fault in ((missing, "are missing"), (others, "have another size")):
        if names:
            raise ConfigError(
                f"{name}: {len(names)} of the {settings.model_type} model's weights {fault}, such as {names[0]}",
                hint="give another file of this model, or its whole folder in Hugging Face's format",
            )
    whole: PreTrainedModel = model
    return whole


def _is_computed(model: PreTrainedModel, weight: str) -> bool:
    """Tell whether a weight is of a table that transformers computes: files may leave it out."""
    return "Sinusoidal" in type(model.get_submodule(weight.rpartition(".")[0])).__name__
