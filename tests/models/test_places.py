"""Where a model lies: installed as a package, in the cache, or nowhere."""

import pytest

from personaplug.errors import ConfigError
from personaplug.models.places import cached_path, find, installed_path, located, path_of, state_of

pytestmark = pytest.mark.usefixtures("model", "cache")


@pytest.fixture
def package(content, tmp_path, monkeypatch):
    """The model's package, installed; whoever imports it fails, as without its dependencies."""
    folder = tmp_path / "site-packages" / "tiny_model"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("import llama_cpp_is_not_there")
    (folder / "tiny.gguf").write_bytes(content)
    monkeypatch.syspath_prepend(folder.parent)
    return folder


@pytest.fixture
def cached(content, cache):
    cache.mkdir(parents=True)
    (cache / "tiny.gguf").write_bytes(content)
    return cache / "tiny.gguf"


def test_an_installed_model_is_found_without_importing_its_package(model, package):
    assert path_of("tiny") == package / "tiny.gguf"
    assert state_of(model) == "installed"


def test_a_cached_model_is_found(model, cached):
    assert (path_of("tiny"), state_of(model)) == (cached, "cached")


@pytest.mark.usefixtures("cached")
def test_the_installed_file_is_taken_before_the_cached_one(model, package):
    assert find(model) == package / "tiny.gguf"


def test_an_installed_file_of_another_size_is_left_for_the_cached_one(model, package, cached):
    (package / "tiny.gguf").write_bytes(b"of another version")
    assert (installed_path(model), find(model), state_of(model)) == (None, cached, "cached")


def test_a_cut_file_in_the_cache_is_none(model, cached, content):
    cached.write_bytes(content[:-1])
    assert (find(model), state_of(model)) == (None, "missing")


def test_a_missing_model_is_refused_with_the_command_that_fetches_it():
    with pytest.raises(ConfigError, match="tiny is not on this machine") as caught:
        path_of("tiny")
    assert caught.value.hint == "personaplug models add tiny"


def test_an_unknown_name_is_refused_with_those_that_are_known():
    with pytest.raises(ConfigError, match="'smollm9'") as caught:
        path_of("smollm9")
    assert "smollm2" in caught.value.hint


def test_other_names_stay_as_they_are(cached, tmp_path, monkeypatch):
    assert located("tiny") == str(cached)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny").mkdir()
    for name in ("gpt2", "google/flan-t5-base", "./tiny", "models/tiny.gguf"):
        assert located(name) == name


def test_the_model_that_once_came_along_is_refused_with_what_to_do_even_where_a_folder_has_its_name(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nano").mkdir()
    with pytest.raises(ConfigError, match="nano is no longer part of personaplug") as caught:
        located("nano")
    assert "--backbone smollm2" in caught.value.hint
    assert "train anew" in caught.value.hint
    assert located("./nano") == "./nano"


def test_the_cache_is_where_the_environment_says(model, tmp_path, monkeypatch):
    monkeypatch.setenv("PERSONAPLUG_CACHE", str(tmp_path))
    assert cached_path(model) == tmp_path / "models" / "tiny.gguf"
