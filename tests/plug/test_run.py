import pytest

from personaplug.config import from_mapping, read_toml, write_toml
from personaplug.errors import ConfigError
from personaplug.plug.run import PRESETS, RunConfig, TrainingConfig


@pytest.mark.parametrize("name", PRESETS)
def test_a_run_is_read_as_it_was_written(name, tmp_path):
    write_toml(PRESETS[name], tmp_path / "config.toml")
    assert read_toml(RunConfig, tmp_path / "config.toml") == PRESETS[name]


def test_every_option_is_explained_in_the_file(tmp_path):
    write_toml(RunConfig(), tmp_path / "config.toml")
    lines = [line for line in (tmp_path / "config.toml").read_text().splitlines() if line and line[0] != "["]
    assert [line[0] == "#" for line in lines] == [True, False] * (len(lines) // 2)


def test_the_paper_preset_has_the_papers_settings():
    """Against arXiv 2409.11901, section 4.3."""
    run, training = PRESETS["paper"], PRESETS["paper"].training
    assert (run.backbone.model, run.encoder.model) == ("google/flan-t5-xxl", "BAAI/bge-base-en-v1.5")
    assert (training.learning_rate, training.weight_decay, training.warmup) == (1e-4, 1e-4, 0.05)
    assert (training.batch_size, training.epochs, training.max_input_tokens) == (64, 2.0, 256)
    assert run.embedder.query_encoder == "trained"


@pytest.mark.parametrize(
    "values", [{"epochs": 0.0}, {"batch_size": 0}, {"learning_rate": -1.0}, {"max_output_tokens": 1}, {"epoch": 1.0}]
)
def test_impossible_values_are_refused(values):
    with pytest.raises(ConfigError, match="here"):
        from_mapping(TrainingConfig, values, where="here")
