"""``train --method user-lora``, and what its runs answer."""

import json
import tomllib
from dataclasses import replace
from shutil import copytree

import pytest
from safetensors.torch import load_file

from personaplug.backbone.base import GenerationConfig
from personaplug.evaluation.report import Report
from personaplug.plug.query_source import QuerySource
from personaplug.rivals.user_lora.adapters import LoraConfig
from personaplug.rivals.user_lora.cost import UserCost
from personaplug.rivals.user_lora.method import open_user_lora
from personaplug.rivals.user_lora.run import PRESETS
from personaplug.rivals.user_lora.run_folder import UserLoraFolder
from personaplug.tasks.task import load_task
from tests.cli.conftest import USERS, done

TRAIN = ("--epochs", 1, "--batch-size", 4)


@pytest.fixture
def train(personaplug, place, models, tmp_path):
    """Train adapters into ``run``."""

    def run(*words, log=place.log, out="run", family="decoder-only", settings=TRAIN):
        given = ("--method", "user-lora", "--backbone", models[family], "--out", tmp_path / out)
        return personaplug("train", log, "--task", "log", *given, *settings, *words)

    return run


@pytest.fixture
def evaluate(personaplug, place, tmp_path):
    """Evaluate a run into ``report.json``."""

    def run(*words, out="run", method="user-lora"):
        given = ("--method", method, "--run", tmp_path / out, "--out", tmp_path / "report.json")
        return personaplug("evaluate", place.log, "--task", "log", *given, *words, "--max-new-tokens", 4)

    return run


@pytest.mark.parametrize("family", ["encoder-decoder", "decoder-only"])
def test_a_split_is_trained_for_and_evaluated(train, evaluate, tmp_path, family):
    result = done(train(family=family))
    assert result.stdout.startswith(f"{tmp_path / 'run'}: {len(USERS)} users' adapters, ")
    assert "train user-lora" in result.stderr
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"README.md", "adapters", "config.toml", "cost.json", "start.safetensors", "task.toml"}
    done(evaluate())
    report = Report.read(tmp_path / "report.json")
    assert (report.method, len(report.answers)) == ("user-lora", len(USERS))
    done(evaluate("-k", 2))
    assert Report.read(tmp_path / "report.json").method == "user-lora, bm25, k=2"


def test_adapters_may_be_trained_with_retrieved_items_and_are_then_asked_with_as_many(train, evaluate, tmp_path):
    done(train("-k", 1))
    done(evaluate())
    assert Report.read(tmp_path / "report.json").method == "user-lora, bm25, k=1"
    assert "| retrieved items in each prompt | 1, by bm25 |" in (tmp_path / "run" / "README.md").read_text()


def test_the_cost_of_a_user_stands_in_the_card_and_in_a_file(train, tmp_path):
    found = json.loads(done(train("--json")).stdout)
    cost = UserCost.read(tmp_path / "run")
    assert found["bytes"] == cost.bytes > 0
    assert cost.seconds_a_user > 0
    assert cost.users == len(USERS)
    assert cost.history_items == sum(count - 1 for count in USERS.values()) / len(USERS)
    card = (tmp_path / "run" / "README.md").read_text()
    assert f"**MB a user** | {cost.bytes_a_user / 1e6:.3f} " in card
    assert f"**seconds a user** | {cost.seconds_a_user:.2f} " in card
    assert "How the language model was asked, without a chat template" in card


def test_the_preset_of_the_paper_trains_fresh_adapters_over_a_frozen_one_of_the_task(train, evaluate, tmp_path):
    """The numbers are those of https://github.com/TamSiuhin/OPPU, OPPU.py and task_LoRA.py."""
    done(train("--preset", "paper", "--set", "adaptation.queries=3", settings=()))
    run = UserLoraFolder.open(tmp_path / "run")
    config, training, adaptation = run.config, run.config.training, run.config.adaptation
    assert PRESETS["paper"].backbone.model == "meta-llama/Llama-2-7b-hf"
    assert config.adapter == LoraConfig(rank=8, alpha=8.0, places="query-value", dropout=0.05)
    assert (training.epochs, training.batch_size, training.learning_rate) == (2.0, 16, 1e-4)
    assert (training.weight_decay, training.warmup, training.max_gradient, training.max_items) == (1e-2, 0.1, 0.3, 0)
    assert (adaptation.epochs, adaptation.batch_size, adaptation.learning_rate, adaptation.use) == (
        3.0,
        16,
        1e-4,
        "base",
    )
    card = (tmp_path / "run" / "README.md").read_text()
    assert "| every user starts from | an untrained adapter, over a frozen one of everybody: 3 epochs of 3 " in card
    assert "maps of queries and values, dropout 0.05; inputs go through them too |" in card
    assert "`base.safetensors`" in card
    base, start = (load_file(tmp_path / "run" / f"{name}.safetensors") for name in ("base", "start"))
    assert base.keys() == start.keys()
    assert all(("q_proj" in name or "v_proj" in name) for name in base)
    assert any(base[name].any() for name in base if "lora_B" in name)
    assert not any(start[name].any() for name in start if "lora_B" in name)
    method = open_user_lora(run.path, run.task, k=None, generation=GenerationConfig(), device="cpu")
    assert method.adapters.has_task
    done(evaluate())


def test_all_users_may_start_from_what_was_adapted_to_the_task_once(train, evaluate, tmp_path):
    adapted = ("--set", "adaptation.epochs=1", "--set", "adaptation.queries=3")
    result = done(train(*adapted))
    assert "adapt to the task" in result.stderr
    cost = UserCost.read(tmp_path / "run")
    assert cost.seconds > cost.adaptation_seconds > 0
    card = (tmp_path / "run" / "README.md").read_text()
    assert "| every user starts from | an adapter of everybody: 1 epochs of 3 training queries, batches of 8, " in card
    done(evaluate())
    again = done(train("--resume"))
    assert "adapt to the task" not in again.stderr
    assert UserCost.read(tmp_path / "run") == cost
    other = train("--resume", "--set", "adaptation.queries=2")
    assert (other.exit_code, other.stdout) == (1, "")
    assert "adapted to the task with other settings" in other.stderr


def test_a_log_without_training_queries_adapts_nothing(train, place, tmp_path):
    rows = [line for line in place.log.read_text().splitlines() if json.loads(line)["user_id"] == "ada"]
    (tmp_path / "short.jsonl").write_text("\n".join(rows[:3]))  # the last for test, one for dev, one is history alone
    result = train("--set", "adaptation.epochs=1", log=tmp_path / "short.jsonl")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no query in the split 'train' to adapt to the task by" in result.stderr
    assert "--set adaptation.epochs=0" in result.stderr


def test_what_was_typed_goes_before_the_configuration(train, tmp_path):
    (tmp_path / "my.toml").write_text('split = "dev"\n[adapter]\nrank = 3\n[training]\nbatch_size = 7\n')
    done(train("--config", tmp_path / "my.toml", "--batch-size", 2, "--seed", 5, "--limit", 2, settings=()))
    config = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert (config["split"], config["adapter"]["rank"]) == ("dev", 3)
    assert (config["training"]["batch_size"], config["training"]["seed"]) == (2, 5)
    assert UserCost.read(tmp_path / "run").users == 2


def test_a_run_is_gone_on_with_only_when_asked(train, tmp_path):
    done(train("--limit", 1))
    result = train()
    assert (result.exit_code, result.stdout) == (1, "")
    assert "already holds a run" in result.stderr
    (first,) = (tmp_path / "run" / "adapters").iterdir()
    before = (first / "record.json").stat().st_mtime_ns
    done(train("--resume", "--set", "queries=0"))
    assert UserCost.read(tmp_path / "run").users == len(USERS)
    assert (first / "record.json").stat().st_mtime_ns == before


def test_a_run_is_known_by_its_configuration_when_it_is_resumed(train, personaplug, place, tmp_path):
    done(train("--limit", 1))
    done(personaplug("train", place.log, "--task", "log", "--out", tmp_path / "run", "--resume", "--limit", 9))
    assert UserCost.read(tmp_path / "run").users == len(USERS)


def test_adapters_of_a_later_split_are_refused_for_an_earlier_one(evaluate, place):
    result = evaluate("--split", "dev", out=place.adapters)
    assert result.exit_code == 1
    assert "too late for query" in result.stderr


def test_strangers_have_adapters_of_their_own(train, evaluate, tmp_path):
    done(train("--stranger", out="strangers"))
    assert UserLoraFolder.open(tmp_path / "strangers").config.history == "stranger"
    done(evaluate("--stranger", out="strangers"))
    assert Report.read(tmp_path / "report.json").label == "user-lora, stranger's history"


@pytest.mark.parametrize("method", ["plug", "plain", "bm25"])
def test_a_run_of_adapters_is_no_plug(evaluate, place, method):
    result = evaluate(method=method, out=place.adapters)
    assert result.exit_code == 1
    assert "user-lora" in result.stderr
    assert "holds a user-lora, not a plug" in result.stderr


def test_a_run_of_adapters_explains_nothing(personaplug, place):
    result = personaplug("explain", "--run", place.adapters, "--user", "ada", "what?")
    assert result.exit_code == 1
    assert "holds a user-lora, not a plug" in result.stderr


def test_without_peft_the_extra_is_named_before_the_log_is_read(train, monkeypatch, tmp_path):
    monkeypatch.setattr("personaplug.rivals.user_lora.adapters.find_spec", lambda _: None)
    result = train(log=tmp_path / "nowhere.jsonl")
    assert result.exit_code == 1
    assert "pip install 'personaplug[lora]'" in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_split_without_queries_is_an_error_before_any_run_is_made(train, tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text('{"user_id": "ada", "time": "2024-05-01", "input": "a", "output": "b"}\n')
    result = train(log=log)
    assert result.exit_code == 1
    assert "there is no query in the split 'test'" in result.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("words", [("--split", "dev"), ("--stranger",), ("-k", "2")])
def test_what_only_adapters_know_is_wrong_usage_for_a_plug(personaplug, place, tmp_path, words):
    result = personaplug("train", place.log, "--task", "log", "--out", tmp_path / "run", *words)
    assert result.exit_code == 2
    assert "user-lora" in result.stderr


@pytest.mark.parametrize("words", [("--encoder", "minilm"), ("--store", "log.db")])
def test_what_adapters_leave_unread_is_wrong_usage(train, tmp_path, words):
    result = train(*words)
    assert result.exit_code == 2, result.stderr
    assert words[0] in result.stderr
    assert "do not go with --method user-lora" in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_task_is_refused(place):
    from personaplug.errors import ConfigError
    from personaplug.workflows.methods import MethodOptions, build_method

    other = replace(load_task("log"), name="mail")
    with pytest.raises(ConfigError, match="trained for the task 'log', not 'mail'"):
        build_method("user-lora", other, options=MethodOptions(QuerySource.ENCODER, run=place.adapters))


def test_descriptions_are_kept_beside_the_report_or_where_they_are_wanted(personaplug, place, models, tmp_path):
    given = ("--method", "text-profile", "--backbone", models["encoder-decoder"], "--out", tmp_path / "report.json")
    done(personaplug("evaluate", place.log, "--task", "log", *given, "-k", 2))
    assert len(list((tmp_path / "profiles").iterdir())) == len(USERS)
    done(personaplug("evaluate", place.log, "--task", "log", *given, "-k", 2, "--profiles", tmp_path / "other"))
    assert len(list((tmp_path / "other").iterdir())) == len(USERS)
    assert Report.read(tmp_path / "report.json").method == "text-profile"


def test_who_has_an_adapter_is_not_trained_again_where_a_run_is_resumed_from_another_folder(
    personaplug, place, models, tmp_path, monkeypatch
):
    copytree(models["decoder-only"], tmp_path / "model")
    (tmp_path / "elsewhere").mkdir()
    words = "--task", "log", "--method", "user-lora", *TRAIN
    monkeypatch.chdir(tmp_path)
    done(personaplug("train", place.log, *words, "--backbone", "model", "--out", "run"))
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("run/adapters/*/record.json")}
    monkeypatch.chdir(tmp_path / "elsewhere")
    done(personaplug("train", place.log, *words, "--out", tmp_path / "run", "--resume"))
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
