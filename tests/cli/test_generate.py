import json
import shutil
from dataclasses import replace
from shutil import copytree
from types import SimpleNamespace

import pytest

from personaplug.backbone.base import GenerationConfig
from personaplug.cli.generate import UserInput, _stream
from personaplug.config import read_toml, write_toml
from personaplug.evaluation.report import Report
from personaplug.plug.model import PersonaPlug
from personaplug.plug.run import RunConfig
from personaplug.store.persona_store import PersonaStore
from tests.cli.conftest import USERS, done

SECRET = "what shall I call this"
SHORT = ("--max-new-tokens", 8)
UTF8_TEXT = "tea coffee rain war love work sleep bread snow music paper money winter garden engine silence"
QUESTIONS = [f"what of {word}?" for word in UTF8_TEXT.split()]


@pytest.fixture
def generate(personaplug, place):
    return lambda *words, run=place.plug, **typed: personaplug("generate", "--run", run, *SHORT, *words, **typed)


@pytest.fixture
def answers(generate):
    """Ask several questions in the name of one user: a tiny model may well answer one of them always alike."""

    def ask(user, *words):
        result = done(generate("--jsonl", "-", *words, input=lines_of(*((user, text) for text in QUESTIONS))))
        return tuple(json.loads(line)["answer"] for line in result.stdout.splitlines())

    return ask


@pytest.fixture
def plug(place):
    """The plug as a program uses it."""
    with PersonaStore.open(place.store) as store:
        yield PersonaPlug.from_pretrained(place.plug, store=store)


def answer_of(result):
    return done(result).stdout.removesuffix("\n")


def lines_of(*questions):
    return "".join(json.dumps({"user": user, "text": text}) + "\n" for user, text in questions)


@pytest.mark.parametrize("user", USERS)
def test_an_answer_is_the_plugs_and_stands_alone_on_stdout(generate, plug, user):
    result = generate("--user", user, SECRET)
    assert answer_of(result) == plug.generate(SECRET, user=user, config=GenerationConfig(max_new_tokens=8))
    assert SECRET not in result.stderr


def test_the_log_tells_what_is_loaded_and_nothing_that_a_user_wrote(personaplug, place, caplog):
    done(personaplug("-v", "generate", "--run", place.plug, "--user", "ada", SECRET, *SHORT))
    assert "language model" in caplog.text
    assert "encoder" in caplog.text
    assert SECRET not in caplog.text
    assert "ada" not in caplog.text


def test_users_are_answered_each_in_their_own_way(answers):
    assert len({answers(user) for user in USERS}) == len(USERS)


def test_an_unknown_user_gets_the_generic_persona(answers):
    assert answers("nobody") == answers("anybody") != answers("ada")


def test_without_persona_the_bare_language_model_answers(answers, plug):
    backbone = plug.backbone
    bare = tuple(backbone.generate(backbone.embed(QUESTIONS), GenerationConfig(max_new_tokens=8)))
    assert {answers(user, "--no-persona") for user in USERS} == {bare}
    assert answers("ada") != bare


@pytest.mark.parametrize("more", [(), ("--no-persona",), ("--strategy", "sample")])
def test_a_stream_is_the_answer(generate, more):
    assert answer_of(generate("--user", "ada", SECRET, "--stream", *more)).strip() == answer_of(
        generate("--user", "ada", SECRET, *more)
    )


def test_an_answer_is_read_by_a_program(generate):
    found = json.loads(generate("--user", "[red]", SECRET, "--json").stdout)
    assert found == {"user": "[red]", "text": SECRET, "answer": answer_of(generate("--user", "[red]", SECRET))}


def test_sampling_repeats_with_its_seed(generate):
    wild = "--strategy", "sample", "--temperature", 9, "--user", "ada", SECRET
    first, again, other = (answer_of(generate(*wild, "--seed", seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_a_file_of_many_users_is_answered_as_one_by_one_in_its_order(generate, tmp_path):
    questions = [(user, f"{SECRET} {number}") for number in range(2) for user in [*USERS, "nobody"]]
    path = tmp_path / "questions.jsonl"
    path.write_text(lines_of(*questions[:4]) + "\n \n" + lines_of(*questions[4:]))
    result = done(generate("--jsonl", path, "--batch-size", 4))
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(each["user"], each["text"]) for each in found] == questions
    for each in (found[0], found[-1]):
        assert each["answer"] == answer_of(generate("--user", each["user"], each["text"]))
    assert "generate" in result.stderr
    assert SECRET not in result.stderr


def test_questions_come_from_stdin_too(generate):
    result = done(generate("--jsonl", "-", input=lines_of(("ada", SECRET))))
    assert json.loads(result.stdout)["answer"] == answer_of(generate("--user", "ada", SECRET))


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (b"{", "Expecting property name"),
        (b"\xff", "can't decode"),
        (b"[1]", "a list"),
        (b'{"user": "ada"}', "its 'text' is missing"),
        (b'{"text": "x"}', "its 'user' is missing"),
        (b'{"user": null, "text": "x"}', "its 'user' is no text"),
        (b'{"user": "ada", "text": "\\ud83d"}', "surrogates not allowed"),
    ],
)
def test_a_line_that_is_no_question_is_named_after_what_stands_before_it_is_answered(
    generate, tmp_path, broken, reason
):
    path = tmp_path / "questions.jsonl"
    path.write_bytes(lines_of(*[("ada", SECRET)] * 3).encode() + b"\n" + broken + b"\n")
    result = generate("--jsonl", path, "--batch-size", 2)
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 3
    assert f"Error: {path}:5: not a question: " in result.stderr
    assert reason in result.stderr
    assert 'Hint: each line is like {"user": "ada", "text": "..."}' in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--user", "ada"),
        (SECRET,),
        (SECRET, "--user", "ada", "--jsonl", "-"),
        ("--user", "ada", "--jsonl", "-"),
        ("--stream", "--jsonl", "-"),
        (SECRET, "--user", "ada", "--stream", "--strategy", "beam"),
        (SECRET, "--user", "ada", "--stream", "--json"),
        ("--jsonl", "nowhere.jsonl"),
        (SECRET, "--user", "ada", "--beams", 0),
        (SECRET, "--user", "ada", "--temperature", 0),
        (SECRET, "--user", "ada", "--top-p", 1.5),
        (SECRET, "--user", "ada", "--max-new-tokens", 0),
        ("bytes \udcff", "--user", "ada"),
        (SECRET, "--user", "\udcff"),
    ],
)
def test_wrong_usage_exits_2_before_any_work(generate, words, tmp_path):
    result = generate(*words, run=tmp_path / "nowhere", input="")
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_folder_that_is_no_run_is_our_error(generate, tmp_path):
    result = generate("--user", "ada", SECRET, run=tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"Error: {tmp_path} is no run: it has no config.toml\nHint: train one" in result.stderr


def test_a_run_that_has_left_its_store_asks_for_it(generate, place, tmp_path):
    shutil.copytree(place.plug, tmp_path / "deep" / "plug")
    lost = generate("--user", "ada", SECRET, run=tmp_path / "deep" / "plug")
    assert lost.exit_code == 1
    assert f"{tmp_path / 'deep' / 'log.db'}: there is no such store" in lost.stderr
    found = generate("--user", "ada", SECRET, "--store", place.store, run=tmp_path / "deep" / "plug")
    assert answer_of(found) == answer_of(generate("--user", "ada", SECRET))


def test_a_run_that_is_moved_with_its_store_finds_it(generate, place, tmp_path):
    shutil.copytree(place.plug, tmp_path / "plug")
    shutil.copy(place.store, tmp_path)
    assert answer_of(generate("--user", "ada", SECRET, run=tmp_path / "plug")) == answer_of(
        generate("--user", "ada", SECRET)
    )


def test_a_tuned_prompt_answers_every_user_alike_once_there_are_users(generate, place):
    result = generate("--user", "ada", SECRET, run=place.tuned)
    assert result.exit_code == 1
    assert "was trained without a store of histories\nHint: name one with --store" in result.stderr
    answers = {answer_of(generate("--user", user, SECRET, "--store", place.store, run=place.tuned)) for user in USERS}
    assert len(answers) == 1


def test_an_answer_longer_than_the_language_model_has_room_for_is_refused(generate):
    result = generate(SECRET, "--user", "ada", "--max-new-tokens", 400)
    assert (result.exit_code, result.stdout) == (1, "")
    assert (
        "inputs of 256 tokens beside 12 vectors: the language model has room for 112, beside answers of 400"
        in result.stderr
    )
    assert "Hint: --max-new-tokens 128" in result.stderr
    assert SECRET not in result.stderr


def test_an_answer_has_lines_and_steers_no_terminal(capsys):
    plug = SimpleNamespace(stream=lambda *_, **__: ["one\x1b", "[2J\n\ttwo\x9b"])
    _stream(UserInput("ada", "x"), plug, config=None, with_persona=True)
    assert capsys.readouterr().out == "one\\x1b[2J\n\ttwo\\x9b\n"


def test_answers_are_decoded_as_the_run_says_unless_it_is_said_otherwise(personaplug, place, tmp_path):
    """A run of four beams answers like the same run with ``--strategy beam``, and greedily where that is asked for."""
    run = copytree(place.plug, tmp_path / "run")
    config = read_toml(RunConfig, run / "config.toml")
    store = "--store", place.store
    asked = [word for word in ("--user", "ada", "what is it, and why?", *store)]
    greedy, beams = (
        done(personaplug("generate", "--run", run, *asked, "--strategy", strategy, "--max-new-tokens", 8)).stdout
        for strategy in ("greedy", "beam")
    )
    assert greedy != beams
    write_toml(replace(config, decoding=GenerationConfig("beam", max_new_tokens=8)), run / "config.toml")
    assert done(personaplug("generate", "--run", run, *asked)).stdout == beams
    assert done(personaplug("generate", "--run", run, *asked, "--strategy", "greedy")).stdout == greedy
    measured = "--method", "plug", "--run", run, *store, "--out", tmp_path / "report.json", "--limit", 2
    done(personaplug("evaluate", place.log, "--task", "log", *measured))
    own = Report.read(tmp_path / "report.json")
    done(personaplug("evaluate", place.log, "--task", "log", *measured, "--strategy", "beam", "--max-new-tokens", 8))
    assert own.answers == Report.read(tmp_path / "report.json").answers
