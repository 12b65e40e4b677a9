import pytest

from personaplug.backbone.generation_config import GenerationConfig
from personaplug.config import from_mapping, read_toml, write_toml
from personaplug.errors import ConfigError
from personaplug.plug.run import PRESETS, RunConfig, TrainingConfig, decoding_of


@pytest.mark.parametrize("name", PRESETS)
def test_a_run_is_read_as_it_was_written(name, tmp_path):
    write_toml(PRESETS[name], tmp_path / "config.toml")
    assert read_toml(RunConfig, tmp_path / "config.toml") == PRESETS[name]


def test_every_option_is_explained_in_the_file(tmp_path):
    write_toml(RunConfig(), tmp_path / "config.toml")
    lines = [line for line in (tmp_path / "config.toml").read_text().splitlines() if line and line[0] != "["]
    assert [line[0] == "#" for line in lines] == [True, False] * (len(lines) // 2)


def test_the_paper_preset_has_the_papers_settings():
    """Against arXiv 2409.11901, section 4.3, and its code, whose two epochs hold each example eleven times."""
    run, training = PRESETS["paper"], PRESETS["paper"].training
    assert (run.backbone.model, run.encoder.model) == ("google/flan-t5-xxl", "BAAI/bge-base-en-v1.5")
    assert (training.learning_rate, training.weight_decay, training.warmup) == (1e-4, 1e-4, 0.05)
    assert (training.batch_size, training.epochs, training.max_input_tokens) == (64, 22.0, 256)
    assert run.embedder.query_encoder == "trained"
    assert training.max_output_tokens == run.decoding.max_new_tokens == 128
    assert (run.decoding.strategy, run.decoding.beams) == ("beam", 4)
    assert (training.backbone_dropout, training.encoder_dropout, training.decays_all) == (True, True, False)


def test_a_run_of_before_there_was_a_way_of_decoding_in_it_decodes_greedily(tmp_path):
    write_toml(PRESETS["paper"], tmp_path / "config.toml")
    assert decoding_of(tmp_path) == PRESETS["paper"].decoding
    older = (tmp_path / "config.toml").read_text().partition("[decoding]")[0]
    (tmp_path / "config.toml").write_text(older)
    assert decoding_of(tmp_path) == read_toml(RunConfig, tmp_path / "config.toml").decoding == GenerationConfig()


@pytest.mark.parametrize(
    "values", [{"epochs": 0.0}, {"batch_size": 0}, {"learning_rate": -1.0}, {"max_output_tokens": 1}, {"epoch": 1.0}]
)
def test_impossible_values_are_refused(values):
    with pytest.raises(ConfigError, match="here"):
        from_mapping(TrainingConfig, values, where="here")
