"""Models that a run names by a relative path are found from any folder, and after a move together with the run."""

from dataclasses import replace

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from personaplug.backbone.loading import BackboneConfig, load_backbone, read_settings
from personaplug.config import read_toml, read_values, write_toml
from personaplug.embedder.embedder_config import OURS, PAPER
from personaplug.embedder.encoder import EncoderConfig, TextEncoder
from personaplug.errors import ConfigError
from personaplug.plug.model import PersonaPlug, build_plug
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run import RunConfig
from personaplug.plug.run_file import as_kept, at_end_of, is_same_model, read_config, way_to, write_config
from personaplug.rivals.learned_retrieval.run import RetrievalConfig, SelectionConfig
from personaplug.rivals.user_lora.run import UserLoraConfig
from tests import tiny
from tests.world import TASK, make_run

KINDS = [RunConfig, RetrievalConfig, UserLoraConfig]


def of_model(kind, name):
    return replace(kind(), backbone=BackboneConfig(name))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to be in, with a model's folder and another folder to go to."""
    for name in ("here/my models/gpt two", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("typed", ["my models/gpt two", "./my models/gpt two", "../here/my models/gpt two/"])
def test_a_model_in_a_folder_is_found_from_another_and_after_a_move(kind, typed, here, monkeypatch):
    write_config(of_model(kind, typed), here / "runs" / "gpt" / "config.toml")
    assert read_toml(kind, here / "runs" / "gpt" / "config.toml").backbone.model == "../../my models/gpt two"
    monkeypatch.chdir(here.parent / "elsewhere")
    moved = here.rename(here.with_name("moved"))
    found = read_config(kind, moved / "runs" / "gpt" / "config.toml").backbone.model
    assert (moved / "my models" / "gpt two").samefile(found)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["tiny.gguf", "sha256-0123"])
def test_a_gguf_file_is_found_from_another_folder_and_after_a_move(kind, name, here, monkeypatch):
    (here / "my models" / name).write_bytes(b"GGUF and so on")
    write_config(of_model(kind, f"my models/{name}"), here / "runs" / "gguf" / "config.toml")
    assert read_toml(kind, here / "runs" / "gguf" / "config.toml").backbone.model == f"../../my models/{name}"
    monkeypatch.chdir(here.parent / "elsewhere")
    moved = here.rename(here.with_name("moved"))
    found = read_config(kind, moved / "runs" / "gguf" / "config.toml").backbone.model
    assert (moved / "my models" / name).samefile(found)


def test_a_file_of_another_kind_that_is_called_like_a_model_on_the_hub_leaves_its_name_alone(here):
    (here / "gpt2").write_text("notes on it")
    write_config(of_model(RunConfig, "gpt2"), here / "run" / "config.toml")
    assert read_config(RunConfig, here / "run" / "config.toml").backbone.model == "gpt2"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("typed", ["google/flan-t5-base", "smollm2", "my models/none", "none.gguf"])
def test_a_name_that_is_no_folder_stays_as_it_is(kind, typed, here):
    (here / "smollm2").mkdir()
    write_config(of_model(kind, typed), here / "run" / "config.toml")
    for read in (read_toml, read_config):
        assert read(kind, here / "run" / "config.toml") == of_model(kind, typed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_without_its_models_folder_says_where_the_model_was_sought(kind, here):
    write_config(of_model(kind, "my models/gpt two"), here / "runs" / "gpt" / "config.toml")
    away = (here / "runs" / "gpt").rename(here.parent / "elsewhere" / "gpt")
    found = read_config(kind, away / "config.toml").backbone
    for load in (load_backbone, read_settings, lambda config: TextEncoder.load(EncoderConfig(config.model))):
        with pytest.raises(ConfigError) as caught:
            load(found)
        assert str(here.parent / "my models" / "gpt two") in str(caught.value)
        assert "is not there" in str(caught.value)
        assert "config.toml" in caught.value.hint


def test_a_reader_of_prompts_in_a_folder_is_found_from_another(here, monkeypatch):
    run = replace(RetrievalConfig(), selection=SelectionConfig(encoder="my models/gpt two"))
    write_config(run, here / "runs" / "choice" / "config.toml")
    monkeypatch.chdir(here.parent / "elsewhere")
    found = read_config(RetrievalConfig, here / "runs" / "choice" / "config.toml").selection.encoder
    assert (here / "my models" / "gpt two").samefile(found)


def test_an_absolute_path_stays_as_it_is_when_the_run_alone_is_moved(here):
    name = str(here / "my models" / "gpt two")
    write_config(of_model(RunConfig, name), here / "run" / "config.toml")
    (here / "run").rename(here.parent / "run")
    assert read_config(RunConfig, here.parent / "run" / "config.toml").backbone.model == name


@pytest.mark.parametrize("typed", ["my models/gpt two", "../here/my models/gpt two"])
def test_a_run_that_was_written_with_the_path_as_it_was_typed_opens_where_it_was_trained(typed, here):
    (here / "runs" / "old").mkdir(parents=True)
    write_toml(of_model(RunConfig, typed), here / "runs" / "old" / "config.toml")
    assert read_config(RunConfig, here / "runs" / "old" / "config.toml").backbone.model == typed


def test_a_run_inside_of_which_the_model_lies_takes_it_along(here):
    (here / "run" / "model").mkdir(parents=True)
    write_config(of_model(RunConfig, "run/model"), here / "run" / "config.toml")
    moved = (here / "run").rename(here.parent / "run")
    assert read_config(RunConfig, moved / "config.toml").backbone.model == "../run/model"


def test_the_encoder_is_found_like_the_language_model(here, monkeypatch):
    run = replace(RunConfig(), encoder=EncoderConfig(model="my models/gpt two"))
    write_config(run, here / "run" / "config.toml")
    monkeypatch.chdir(here.parent / "elsewhere")
    assert read_config(RunConfig, here / "run" / "config.toml").encoder.model == "../here/my models/gpt two"


@given(steps=st.lists(st.sampled_from(["..", "a", "b b", "c"]), max_size=5), folder=st.sampled_from(["x", "/x/y", "."]))
def test_whoever_follows_the_way_to_a_path_comes_to_it(steps, folder, tmp_path_factory):
    folder, path = tmp_path_factory.getbasetemp() / folder, tmp_path_factory.getbasetemp().joinpath("from", *steps)
    assert at_end_of(way_to(path, folder=folder), folder=folder).resolve() == path.resolve()


def test_a_folder_or_file_by_two_names_is_one_model_and_two_of_them_are_two(here):
    assert is_same_model("my models/gpt two", str(here / "my models" / "gpt two"))
    assert not is_same_model("my models", "my models/gpt two")
    (here / "tiny.gguf").touch()
    assert is_same_model("tiny.gguf", str(here / "tiny.gguf"))
    assert not is_same_model("tiny.gguf", "my models")
    assert is_same_model("google/x", "google/x")
    assert not is_same_model("google/x", "google/y")


def test_what_a_file_names_is_what_it_is_compared_by(here):
    run = of_model(RunConfig, "my models/gpt two")
    write_config(run, here / "run" / "config.toml")
    read = read_config(RunConfig, here / "run" / "config.toml")
    assert as_kept(read, here / "run") == as_kept(run, here / "run") == read_toml(RunConfig, here / "run/config.toml")


def test_a_plug_saved_beside_its_models_answers_from_elsewhere(store, examples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"encoder": "my models/encoder", "decoder-only": "my models/gpt two"}
    tiny.save_model(tiny.text_encoder(), tmp_path / names["encoder"])
    tiny.save_model(tiny.decoder_only(), tmp_path / names["decoder-only"])
    plug = build_plug(make_run(names, "decoder-only"), TASK, store=store, query_source=QuerySource.STORE)
    plug.save_pretrained(tmp_path / "runs" / "plug")
    scores = plug.eval().score(examples).log_likelihood
    monkeypatch.chdir("/")
    loaded = PersonaPlug.from_pretrained(tmp_path / "runs" / "plug", store=store)
    assert loaded.score(examples).log_likelihood.equal(scores)


def test_a_run_of_before_is_what_it_was_whatever_is_the_default_now(tmp_path):
    """Its file has no word for what could not be said then; that of a person says what differs from today's default."""
    write_toml(RunConfig(embedder=PAPER), tmp_path / "config.toml")
    values = read_values(tmp_path / "config.toml")
    for name in ("place", "made_of", "with_mean", "gain", "output_tokens", "nobody", "first"):
        del values["embedder"][name]
    del values["adapter"]
    (tmp_path / "config.toml").write_text(tomlkit.dumps(values))
    run = read_config(RunConfig, tmp_path / "config.toml")
    assert run.embedder == PAPER
    assert run.shared_adapter is None


def test_a_run_made_of_outputs_that_had_no_word_for_the_order_keeps_its_instruction_first(tmp_path):
    write_toml(RunConfig(), tmp_path / "config.toml")
    values = read_values(tmp_path / "config.toml")
    for name in ("nobody", "first"):
        del values["embedder"][name]
    (tmp_path / "config.toml").write_text(tomlkit.dumps(values))
    run = read_config(RunConfig, tmp_path / "config.toml")
    assert run.embedder == replace(OURS, nobody="trained", first="instruction")


def test_a_persons_own_file_says_what_differs_from_the_default(tmp_path):
    (tmp_path / "mine.toml").write_text("[embedder]\ninstructions = 9\n")
    run = read_config(RunConfig, tmp_path / "mine.toml")
    assert run == RunConfig(embedder=replace(OURS, instructions=9))


@pytest.mark.parametrize("broken", ["training = 3", 'embedder = "x"', "adapter = 3", "training = []"])
def test_a_section_that_is_none_is_said_so(tmp_path, broken):
    (tmp_path / "config.toml").write_text(broken)
    with pytest.raises(ConfigError, match=broken.split()[0]):
        read_config(RunConfig, tmp_path / "config.toml")
