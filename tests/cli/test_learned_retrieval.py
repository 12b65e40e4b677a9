"""Learned retrieval by the commands themselves: train, load by the folder's name, answer; and what is refused."""

import shutil
import tomllib
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LongformerConfig, LongformerModel

from personaplug.backbone.base import GenerationConfig
from personaplug.backbone.loading import BackboneConfig, load_backbone
from personaplug.cli.main import main
from personaplug.data.log import read_log
from personaplug.data.split import split_examples
from personaplug.embedder.encoder import EncoderConfig, TextEncoder
from personaplug.errors import ConfigError, FingerprintMismatchError
from personaplug.evaluation.harness import LikelihoodMethod
from personaplug.evaluation.report import Report
from personaplug.method_kinds import LearnedRetrieval
from personaplug.plug.query_source import QuerySource
from personaplug.records import Profile
from personaplug.rivals.learned_retrieval import fitting as choosing
from personaplug.rivals.learned_retrieval.method import digests_of, plain_of
from personaplug.rivals.learned_retrieval.ranker import ItemRanker
from personaplug.rivals.learned_retrieval.run import (
    PRESETS,
    RetrievalConfig,
    ScoringConfig,
    base_encoder,
    load_ranker,
    load_selector,
    read_run,
)
from personaplug.rivals.learned_retrieval.score_cache import ScoreCache
from personaplug.rivals.learned_retrieval.selected_prompt import SelectedPrompt
from personaplug.store.persona_store import PersonaStore
from personaplug.tasks.task import load_task
from personaplug.workflows.methods import MethodOptions, build_method
from tests import tiny
from tests.cli.conftest import done, run_command
from tests.processes import die, kill_itself

PAPER = PRESETS["paper"]

LEARNED = get_args(LearnedRetrieval)
LOG = load_task("log")
SHORT = GenerationConfig(max_new_tokens=4)
ROPG = ("ropg-kd", "ropg-rl")


def words(place, name, out, *more):
    """Say how to train a run of the tiny models."""
    named = "--store", place.store, "--encoder", place.models["encoder"], "--backbone", place.models["decoder-only"]
    limits = "--max-output-tokens", 20, "--batch-size", 4, "--epochs", 1
    return ("train", place.log, "--task", "log", "--method", name, "--out", out, *named, *limits, *more)


@pytest.fixture(scope="module")
def runs(place, tmp_path_factory):
    """Train one run of each method, the choices between all retrievers."""
    folder = tmp_path_factory.mktemp("rivals")
    runs = {name: folder / name for name in LEARNED}
    for name in ROPG:
        done(run_command(*words(place, name, runs[name])))
    for name in LEARNED[2:]:
        done(run_command(*words(place, name, runs[name], *choosing_between(runs))))
    return runs


def choosing_between(runs):
    """Say that a choice is between all retrievers, the learned ones too."""
    return "-k", 2, *(word for name in ROPG for word in ("--ropg", runs[name]))


@pytest.fixture(scope="module")
def examples(place):
    return list(split_examples(read_log(place.log, LOG), LOG, split="test"))


@pytest.fixture(scope="module")
def longformer(tmp_path_factory):
    """A reader of long texts in small, which is no encoder of the store's."""
    torch.manual_seed(0)
    sizes = {"vocab_size": 260, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = LongformerConfig(
        **sizes, intermediate_size=32, max_position_embeddings=600, attention_window=8, pad_token_id=0
    )
    model = TextEncoder(LongformerModel(config), tiny.byte_tokenizer(start=True, end=True), tiny.FLOAT32)
    return tiny.save_model(model, tmp_path_factory.mktemp("longformer"))


@pytest.fixture
def options(place):
    with PersonaStore.open(place.store) as store:
        yield MethodOptions(QuerySource.ENCODER, store=store, k=2, generation=SHORT)


def error_of(name, options, *, task=LOG, kind=ConfigError):
    with pytest.raises(kind) as caught:
        build_method(name, task, options=options)
    return caught.value


@pytest.mark.parametrize("name", LEARNED)
def test_a_finished_run_holds_weights_and_words_and_nothing_that_users_wrote(name, runs):
    assert {path.name for path in runs[name].iterdir()} == {
        "README.md", "config.toml", "metrics.jsonl", "model.safetensors", "task.toml",
    }  # fmt: skip
    assert f"| method | {name} " in (runs[name] / "README.md").read_text()


@pytest.mark.parametrize("name", LEARNED)
def test_a_run_is_loaded_by_its_folder_and_answers(name, runs, options, examples):
    method, again = (build_method(name, LOG, options=replace(options, run=runs[name])) for _ in range(2))
    assert isinstance(method, LikelihoodMethod)
    assert method.name == f"{name}, k=2"
    assert method.respond(examples) == again.respond(examples)
    np.testing.assert_array_equal(method.log_likelihood(examples), again.log_likelihood(examples))


@pytest.mark.parametrize("name", LEARNED)
def test_what_was_saved_is_what_is_loaded_and_frozen(name, runs):
    load = load_ranker if name in ROPG else load_selector
    loaded = load(runs[name], read_run(runs[name], method=name, task=LOG))
    saved = load_file(runs[name] / "model.safetensors")
    assert loaded.state_dict().keys() == saved.keys()
    assert all((weight == saved[key]).all() for key, weight in loaded.state_dict().items())
    assert not any(weight.requires_grad for weight in loaded.parameters())


def test_whole_prompts_are_chosen_by_a_long_encoder_of_their_own(place, runs, longformer, options, examples, tmp_path):
    published = "selection.reads=prompt", "selection.max_tokens=300", f"selection.encoder={longformer}"
    given = [word for setting in published for word in ("--set", setting)]
    done(run_command(*words(place, "rspg-post", tmp_path / "run", *choosing_between(runs), *given)))
    run = read_run(tmp_path / "run", method="rspg-post", task=LOG)
    selector = load_selector(tmp_path / "run", run)
    assert isinstance(selector.encoder.model, LongformerModel)
    assert selector.encoder.config.pooling == "cls"
    assert not selector.encoder.normalizes
    assert "|cls|300 tokens|" in run.selection.fingerprint
    method = build_method("rspg-post", LOG, options=replace(options, run=tmp_path / "run"))
    assert len(method.respond(examples)) == len(examples)
    torch.manual_seed(1)
    other = TextEncoder(LongformerModel(selector.encoder.model.config), selector.encoder.tokenizer, tiny.FLOAT32)
    shutil.copytree(longformer, kept := tmp_path / "kept")
    tiny.save_model(other, longformer)
    with pytest.raises(FingerprintMismatchError, match="was trained from encoder"):
        load_selector(tmp_path / "run", run)
    shutil.copytree(kept, longformer, dirs_exist_ok=True)


def test_the_preset_of_the_paper_has_the_settings_of_the_released_code():
    """https://github.com/LaMP-Benchmark/LaMP, ROPG/train_kd.py and RSPG/rspg.py, and Longformer's own name there."""
    assert (PAPER.ranker.candidates, PAPER.ranker.similarity, PAPER.ranker.temperature) == (
        20,
        "product",
        1.0,
    )
    assert PAPER.encoder == EncoderConfig(model="facebook/contriever", pooling="mean", max_tokens=512)
    assert (PAPER.selection.encoder, PAPER.selection.reads) == ("allenai/longformer-base-4096", "prompt")
    assert (PAPER.fitting.learning_rate, PAPER.fitting.weight_decay) == (1e-5, 0.0)
    assert (PAPER.scoring.score, PAPER.scoring.relative_errors) == ("metric", True)
    assert PAPER.scoring.generation == GenerationConfig("beam", beams=4, max_new_tokens=128)
    assert RetrievalConfig().scoring.generation == GenerationConfig(max_new_tokens=48)


@pytest.mark.parametrize("name", LEARNED)
def test_an_empty_history_is_a_history(name, runs, options, examples):
    method = build_method(name, LOG, options=replace(options, run=runs[name]))
    unknown = [replace(example, profile=Profile("nobody")) for example in examples]
    assert len(method.respond(unknown)) == len(examples)
    assert np.isfinite(method.log_likelihood(unknown)).all()
    assert method.writer.write(unknown) == [LOG.prompt_text(each.input) for each in unknown]


def test_a_choice_keeps_texts_once_and_the_vectors_of_each_retriever(runs, options, examples, place):
    options = replace(options, backbone=place.models["decoder-only"], encoder=place.models["encoder"])
    alone = [build_method(name, LOG, options=replace(options, run=runs[name])).user_bytes(examples) for name in ROPG]
    texts = build_method("recency", LOG, options=options).user_bytes(examples)
    dense = build_method("dense", LOG, options=options).user_bytes(examples)
    choice = build_method("rspg-pre", LOG, options=replace(options, run=runs["rspg-pre"])).user_bytes(examples)
    assert (choice == texts + sum(each - texts for each in (*alone, dense))).all()
    assert (choice > texts).any()


@pytest.mark.parametrize("name", LEARNED)
def test_a_mixed_batch_is_answered_as_one_by_one(name, runs, options, examples):
    method = build_method(name, LOG, options=replace(options, run=runs[name]))
    assert method.respond(examples) == [answer for example in examples for answer in method.respond([example])]


def test_a_choice_is_between_the_retrievers_of_the_run_in_its_order(runs, options, examples, place):
    options = replace(options, backbone=place.models["decoder-only"])
    method = build_method("rspg-pre", LOG, options=replace(options, run=runs["rspg-pre"]))
    assert isinstance(method.writer, SelectedPrompt)
    example = max(examples, key=lambda each: len(each.profile.items))
    prompts = [each.write([example])[0] for each in method.writer.writers]
    named = [
        build_method(name, LOG, options=options).writer.write([example])[0] for name in ("plain", "recency", "bm25")
    ]
    assert prompts[:3] == named
    assert len(prompts) == 6
    assert prompts[4:] == [
        build_method(name, LOG, options=replace(options, run=runs[name])).writer.write([example])[0] for name in ROPG
    ]
    for place, prompt in enumerate(prompts):
        method.writer.selector.bias.data[:] = 0
        method.writer.selector.bias.data[place] = 1e4
        assert method.writer.write([example]) == [prompt]


def test_a_choice_after_generation_reads_the_answers(runs, options, examples):
    before, after = (build_method(name, LOG, options=replace(options, run=runs[name])).writer for name in LEARNED[2:])
    assert before.answer is None
    example, read = examples[0], []
    prompts = [each.write([example])[0] for each in after.writers]

    class Reading:
        reads = "query"

        def choose(self, queries, options):
            read.extend(zip(queries, options, strict=True))
            return [2]

    assert replace(after, selector=Reading()).write([example]) == [prompts[2]]
    answers = after.answer(prompts)
    assert read == [(example.input.strip(), tuple(f"{a}\n{p}" for a, p in zip(answers, prompts, strict=True)))]


@pytest.mark.parametrize("name", ["ropg-kd", "rspg-pre"])
def test_a_trained_retriever_encodes_items_before_the_user_asks(name, runs, options, examples, monkeypatch):
    method = build_method(name, LOG, options=replace(options, run=runs[name]))
    expected = method.respond(examples)
    method = build_method(name, LOG, options=replace(options, run=runs[name]))
    method.prepare(examples)
    read, encode = [], ItemRanker.encode_items
    monkeypatch.setattr(ItemRanker, "encode_items", lambda ranker, texts: read.append(texts) or encode(ranker, texts))
    assert method.respond(examples) == expected
    assert not read


def test_the_way_from_the_log_to_a_report(runs, place, tmp_path):
    out = tmp_path / "kd.json"
    given = "--method", "ropg-kd", "--run", runs["ropg-kd"], "-k", 2, "--max-new-tokens", 4, "--out", out
    done(run_command("evaluate", place.log, "--task", "log", *given))
    report = Report.read(out)
    assert report.method == "ropg-kd, k=2"
    assert report.score("nats-per-token").value > 0


@pytest.mark.parametrize("name", LEARNED)
def test_a_run_of_another_method_task_or_items_is_refused(name, runs, options, place):
    assert "needs a trained run" in str(error_of(name, options))
    other = LEARNED[LEARNED.index(name) - 1]
    assert f"holds a {other}, not a {name}" in str(error_of(name, replace(options, run=runs[other])))
    assert f"holds a plug, not a {name}" in str(error_of(name, replace(options, run=place.plug)))
    assert "is no run" in str(error_of(name, replace(options, run=place.log.parent)))
    wrong_task = error_of(name, replace(options, run=runs[name]), task=replace(LOG, name="mail"))
    assert "was trained for the task 'log', not 'mail'" in str(wrong_task)
    if name not in ROPG:
        assert error_of(name, replace(options, run=runs[name], k=3)).hint == "-k 2"


def test_a_rivals_run_is_no_plug(runs, options, place, personaplug):
    run = runs["ropg-kd"]
    assert f"{run} holds a ropg-kd, not a plug" in str(error_of("plug", replace(options, run=run)))
    assert f"{run} holds a ropg-kd, not a plug or tuned" in str(error_of("plain", replace(options, run=run)))
    result = personaplug("generate", "--run", run, "--store", place.store, "--user", "ada", "hello")
    assert result.exit_code == 1
    assert "holds a ropg-kd, not a plug or tuned prompt" in result.stderr


@pytest.mark.parametrize("name", ["ropg-kd", "rspg-pre"])
def test_a_run_whose_encoder_has_changed_is_refused(name, runs, options, place, tmp_path):
    run = shutil.copytree(runs[name], runs[name].with_name("other"))
    try:
        other = tiny.save_model(tiny.text_encoder(seed=1), tmp_path / "encoder")
        text = (run / "config.toml").read_text().replace(str(place.models["encoder"]), other)
        (run / "config.toml").write_text(text)
        given = replace(options, run=run)
        error = error_of(name, given, kind=FingerprintMismatchError)
        assert error.hint
        assert "encoder" in str(error)
    finally:
        shutil.rmtree(run)


def test_a_choice_is_refused_when_a_retriever_was_trained_anew(runs, options, tmp_path):
    rivals = shutil.copytree(runs["ropg-kd"].parent, tmp_path / "rivals")
    weights = load_file(rivals / "ropg-kd" / "model.safetensors")
    save_file({name: weight + 1 for name, weight in weights.items()}, rivals / "ropg-kd" / "model.safetensors")
    error = error_of("rspg-pre", replace(options, run=rivals / "rspg-pre"))
    assert f"{rivals / 'ropg-kd'} has changed" in str(error)


@pytest.mark.parametrize("name", LEARNED)
def test_half_a_run_does_not_load_and_is_not_chosen_from(name, runs, options, tmp_path):
    half = shutil.copytree(runs[name], tmp_path / "half")
    (half / "model.safetensors").unlink()
    error = error_of(name, replace(options, run=half))
    assert "is not finished" in str(error)
    assert "--resume" in error.hint
    with pytest.raises(ConfigError):
        digests_of([half])


def die_after(steps, words):
    """Run a command, and kill its process instead of one more step of training."""
    real = choosing._step

    def step(*arguments):
        nonlocal steps
        steps -= 1
        return die() if steps < 0 else real(*arguments)

    choosing._step = step
    main(words)


def test_a_killed_training_comes_to_the_same_weights(place, tmp_path):
    name = "ropg-rl"  # which draws by lot; one loop fits all
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    done(run_command(*words(place, name, whole, "--epochs", 2)))
    given = [str(word) for word in words(place, name, killed, "--epochs", 2)]
    kill_itself(die_after, 1, given)
    assert (killed / "said" / "scores.jsonl").exists()
    refused = run_command(*given)
    assert (refused.exit_code, "already holds a run" in refused.stderr) == (1, True)
    other = run_command(*given, "--resume", "--seed", "5")
    assert (other.exit_code, "other settings" in other.stderr) == (1, True)
    done(run_command("train", place.log, "--task", "log", "--store", place.store, "--out", killed, "--resume"))
    first, second = (load_file(run / "model.safetensors") for run in (whole, killed))
    assert all((first[key] == second[key]).all() for key in first)
    finished = run_command(*given, "--resume")
    assert (finished.exit_code, "is finished" in finished.stderr) == (1, True)


def test_a_choice_of_answers_that_is_interrupted_comes_to_the_same_weights(runs, place, tmp_path, monkeypatch):
    real, run = choosing._step, tmp_path / "run"
    steps = iter([real])
    with monkeypatch.context() as patch:
        patch.setattr(choosing, "_step", lambda *arguments: next(steps)(*arguments))  # the second finds no more
        stopped = run_command(*words(place, "rspg-post", run, *choosing_between(runs)))
    assert isinstance(stopped.exception, StopIteration)
    answers = (run / "said" / "answers.jsonl").read_bytes()
    assert answers
    monkeypatch.setattr(ScoreCache, "_keep", None)  # nothing is asked again
    done(run_command("train", place.log, "--task", "log", "--store", place.store, "--out", run, "--resume"))
    resumed, whole = (load_file(each / "model.safetensors") for each in (run, runs["rspg-post"]))
    assert all((resumed[key] == whole[key]).all() for key in whole)


def test_words_of_the_command_line_reach_the_run(place, tmp_path):
    more = "--score", "metric", "--limit", 3, "--seed", 4, "--max-input-tokens", 50
    more += "--set", "ranker.candidates=3", "--set", "fitting.learning_rate=0.25"
    done(run_command(*words(place, "ropg-kd", tmp_path / "run", *more)))
    config = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert (config["scoring"]["score"], config["scoring"]["max_input_tokens"]) == ("metric", 50)
    assert (config["fitting"]["seed"], config["fitting"]["batch_size"], config["scoring"]["batch_size"]) == (4, 4, 32)
    assert (config["ranker"]["candidates"], config["fitting"]["learning_rate"]) == (3, 0.25)
    assert config["fitting"]["queries"] == 3
    assert (tmp_path / "run" / config["store"]).resolve() == place.store.resolve()
    assert "rouge-1 of the generated answer" in (tmp_path / "run" / "README.md").read_text()


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("--method", "plug", "--score", "metric"), 2, "go with --method ropg or rspg"),
        (("--split", "dev"), 2, "go with --method user-lora"),
        (("--method", "rspg-post", "--stranger"), 2, "go with --method user-lora"),
        (("--epochs", "1.5"), 1, "must be a whole number"),
        (("--epochs", "inf"), 1, "epochs inf must be a whole number"),
        (("--set", "fitting.speed=9"), 1, "fitting.speed=9: unknown key 'speed'"),
        (("--ropg", "nowhere"), 1, "chooses between items"),
        (("--method", "rspg-pre", "--ropg", "nowhere"), 1, "nowhere"),
        (("--encoder", "minilm"), 1, "made by the encoder 'encoder', not by 'minilm'"),
        (("--store", "nowhere.db"), 1, "nowhere.db"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_folder_is_made(more, code, said, place, tmp_path):
    result = run_command(*words(place, "ropg-kd", tmp_path / "run", *more))
    assert (result.exit_code, said in result.stderr) == (code, True), result.stderr
    assert not (tmp_path / "run").exists()


def test_retrievers_may_be_named_as_a_setting(runs, place, tmp_path):
    given = "--set", "selection.retrievers=['none']", "--set", f"selection.ropg=['{runs['ropg-kd']}']", "--limit", 3
    done(run_command(*words(place, "rspg-pre", tmp_path / "run", *given)))
    run = read_run(tmp_path / "run", method="rspg-pre", task=LOG)
    assert run.selection.ropg_digests == digests_of([runs["ropg-kd"]])


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_open_precision_is_that_of_the_training(precision, runs):
    run = read_run(runs["ropg-kd"], method="ropg-kd", task=LOG)
    made = replace(run, fingerprint=f"{run.fingerprint.rpartition('|')[0]}|{precision}")
    assert base_encoder(runs["ropg-kd"], made, device="cpu").fingerprint == made.fingerprint


def test_beside_an_answer_the_input_has_the_room_that_is_left(place):
    backbone = load_backbone(BackboneConfig(model=place.models["decoder-only"]))
    run = RetrievalConfig(scoring=ScoringConfig(max_input_tokens=500, max_output_tokens=20))
    assert (
        plain_of(run, LOG, backbone=backbone, generation=GenerationConfig(max_new_tokens=40)).writer.max_tokens
        == 512 - 40
    )


@pytest.mark.parametrize("family", ["decoder-only", "encoder-decoder"])
def test_where_no_items_are_chosen_the_input_has_no_more_room_than_alone(family, place, examples):
    backbone = load_backbone(BackboneConfig(model=place.models[family]))
    run = RetrievalConfig(scoring=ScoringConfig(max_input_tokens=12, max_output_tokens=8))
    plain = plain_of(run, LOG, backbone=backbone, generation=SHORT)
    long = [replace(example, input="what a long day " * 20) for example in examples]
    alone = plain.prompt_tokens(long).tolist()
    assert backbone.count_input_tokens(plain.writer.write(long), max_tokens=100) == alone
    assert max(alone) <= 12


def test_without_a_store_there_is_nothing_to_learn_from(place, tmp_path):
    given = [word for word in words(place, "ropg-kd", tmp_path / "run") if word not in ("--store", place.store)]
    result = run_command(*given)
    assert (result.exit_code, "needs a store" in result.stderr) == (1, True)
