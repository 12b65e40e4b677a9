import json

import pytest

from tests.cli.conftest import done


@pytest.fixture(scope="module")
def run(place, tmp_path_factory):
    """A run whose adapter reads inputs too, which needs no store."""
    from tests.cli.conftest import run_command

    out = tmp_path_factory.mktemp("run") / "all"
    words = "--method", "tuned-lora", "--backbone", place.models["decoder-only"], "--set", "adapter.reads=all"
    done(run_command("train", place.log, "--task", "log", *words, "--epochs", 1, "--out", out))
    return out


def test_an_export_says_how_vllm_is_started_with_it(personaplug, place, run, tmp_path):
    result = done(personaplug("export", "--run", run, "--out", tmp_path / "lora"))
    assert result.stdout.startswith(f"{tmp_path / 'lora'}: personaplug-")
    assert (
        f"vllm serve {place.models['decoder-only']} --enable-prompt-embeds --enable-lora --max-loras 2" in result.stderr
    )
    told = json.loads(done(personaplug("export", "--run", run, "--out", tmp_path / "again", "--json")).stdout)
    assert f"--lora-modules {told['name']}={tmp_path / 'again'}" in told["command"]
    assert told["name"] in result.stdout


def test_an_export_of_a_run_that_copies_says_that_other_engines_do_not(personaplug, place, tmp_path):
    models = "--backbone", place.models["decoder-only"], "--encoder", place.models["encoder"]
    words = "--task", "log", "--store", place.store, *models, "--epochs", 1, "--set", "adapter.reads=all"
    done(personaplug("train", place.log, *words, "--out", tmp_path / "run"))
    result = done(personaplug("export", "--run", tmp_path / "run", "--out", tmp_path / "lora"))
    assert "Other engines answer without the user's own words" in result.stderr
    assert {path.name for path in (tmp_path / "lora").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}


def test_the_default_run_is_refused_with_the_way_out(personaplug, place, tmp_path):
    result = personaplug("export", "--run", place.plug, "--out", tmp_path / "lora")
    assert result.exit_code == 1
    assert "reads answers alone" in result.stderr
    assert "--set adapter.reads=all" in result.stderr
    assert not (tmp_path / "lora").exists()


@pytest.mark.parametrize(("kind", "said"), [("adapters", "user-lora"), ("tuned", "no adapter of all users")])
def test_a_run_of_another_kind_is_refused(personaplug, place, tmp_path, kind, said):
    result = personaplug("export", "--run", getattr(place, kind), "--out", tmp_path / "lora")
    assert result.exit_code == 1
    assert said in result.stderr
