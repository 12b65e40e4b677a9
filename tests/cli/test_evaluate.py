import json

import pytest

from personaplug.errors import ConfigError
from personaplug.evaluation.report import Report
from personaplug.plug.query_source import QuerySource
from personaplug.workflows import methods
from tests.evaluation.factories import AttentiveParrot, Parrot

USERS = ("ada", "bob", "eve", "joe")


@pytest.fixture(autouse=True)
def built(monkeypatch):
    """Let a parrot stand for every method, and remember what it was built of and what it was asked."""
    built = []

    class Remembering(AttentiveParrot):
        def respond(self, examples):
            built.extend(examples)
            return super().respond(examples)

    def build(name, task, options):
        built.append((name, task.name, options))
        return Remembering(name, "output of ada 4") if name == "plug" else Parrot(name, "output of nobody")

    monkeypatch.setattr(methods, "build_method", build)
    return built


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    rows = [
        {
            "user_id": user,
            "time": f"2024-01-0{day}",
            "id": str(day),
            "input": "asked",
            "output": f"output of {user} {day}",
        }
        for user in USERS
        for day in range(1, 5)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def evaluate(personaplug, log, tmp_path):
    def run(*words, method="plug", out="report.json"):
        words = ("--task", "log", "--method", method, "--out", tmp_path / out, *words)
        return personaplug("evaluate", log, *words)

    return run


def test_a_method_is_asked_every_query_and_its_report_written(evaluate, tmp_path):
    result = evaluate()
    assert result.exit_code == 0, result.stderr
    report = Report.read(tmp_path / "report.json")
    assert (report.task, report.method, report.setting.split, report.setting.history) == ("log", "plug", "test", "own")
    assert [answer.user_id for answer in report.answers] == list(USERS)
    assert report.score("rouge-1").value == pytest.approx((1 + 3 * 3 / 4) / 4)
    assert report.attention is not None


def test_the_summary_is_on_stdout_and_the_bar_on_stderr(evaluate, tmp_path):
    result = evaluate()
    assert "ROUGE-1 ↑" in result.stdout
    assert "4 answers" in " ".join(result.stdout.split())
    assert str(tmp_path / "report.json") in result.stdout
    assert "evaluate plug" in result.stderr
    assert "evaluate plug" not in result.stdout


def test_a_program_reads_the_scores_without_any_answer(evaluate):
    found = json.loads(evaluate("--json").stdout)
    assert [score["metric"] for score in found["scores"]][:2] == ["rouge-1", "rouge-l"]
    assert "answers" not in found


def test_strangers_histories_are_others_and_the_queries_the_same(evaluate, built, tmp_path):
    evaluate()
    evaluate("--stranger", out="stranger.json")
    own, stranger = (Report.read(tmp_path / name) for name in ("report.json", "stranger.json"))
    asked = [example for example in built if not isinstance(example, tuple)]
    assert [example.profile.user_id for example in asked[:4]] == list(USERS)
    assert all(example.profile.user_id != user for example, user in zip(asked[4:], USERS, strict=True))
    assert [answer.query for answer in own.answers] == [answer.query for answer in stranger.answers]
    assert stranger.label == "plug, stranger's history"


def test_a_limit_draws_the_same_queries_for_every_method(evaluate, tmp_path):
    for seed in ("1", "2", "3"):
        for method in ("plug", "plain"):
            evaluate("--limit", "2", "--seed", seed, method=method, out=f"{method} {seed}.json")
    drawn = {path.stem: [a.user_id for a in Report.read(path).answers] for path in tmp_path.glob("*.json")}
    assert {len(users) for users in drawn.values()} == {2}
    assert all(drawn[f"plug {seed}"] == drawn[f"plain {seed}"] for seed in "123")
    assert len({tuple(users) for users in drawn.values()}) > 1


def test_the_choice_of_method_language_model_and_decoding_reaches_the_wiring(evaluate, built, tmp_path):
    evaluate("--run", tmp_path, "--backbone", "tiny", "-k", "2", "--strategy", "beam", "--beams", "3", method="bm25")
    name, task_name, options = built[0]
    assert (name, task_name, options.run, options.store) == ("bm25", "log", tmp_path, None)
    assert (options.backbone, options.k, options.generation.strategy, options.generation.beams) == (
        "tiny",
        2,
        "beam",
        3,
    )


def test_queries_may_be_looked_up_where_that_is_asked_for_alone(evaluate, built):
    evaluate()
    assert built[0][2].query_source is QuerySource.ENCODER
    built.clear()
    evaluate("--look-up")
    assert built[0][2].query_source is QuerySource.STORE


def test_a_split_without_queries_is_an_error(evaluate, tmp_path):
    (tmp_path / "log.jsonl").write_text('{"user_id": "ada", "time": "2024-05-01", "input": "a", "output": "b"}\n')
    result = evaluate()
    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no query" in result.stderr


def test_bad_rows_are_left_out_on_request(evaluate, log):
    log.write_text(log.read_text() + "{broken\n")
    assert evaluate().exit_code == 1
    result = evaluate("--skip-bad", "--json")
    assert result.exit_code == 0
    assert "1 bad row" in result.stderr


def test_predictions_are_written_in_the_official_format(personaplug, tmp_path):
    rows = [
        {"user_id": "u", "time": f"2024-05-0{day}", "id": f"q{day}", "input": "i", "output": "3", "split": "test"}
        for day in (1, 2)
    ]
    (tmp_path / "lamp.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("--task", "lamp-3", "--method", "plug", "--out", tmp_path / "r.json", "--predictions", tmp_path / "p.json")
    result = personaplug("evaluate", tmp_path / "lamp.jsonl", *words)
    assert result.exit_code == 0, result.stderr
    golds = [{"id": f"q{day}", "output": "output of ada 4"} for day in (1, 2)]
    assert json.loads((tmp_path / "p.json").read_text()) == {"task": "LaMP_3", "golds": golds}
    assert Report.read(tmp_path / "r.json").score("mae").value == 2


LAMP_WORDS = ("--task", "lamp-3", "--method", "plug")


@pytest.fixture
def lamp_log(tmp_path):
    """Two users ask in turn; their ids stand in another order than their questions."""
    rows = [
        {"user_id": user, "time": "2024-05-01", "id": name, "input": "i", "output": "3", "split": "test"}
        for user, name in (("zoe", "q9"), ("ada", "q10"), ("zoe", "q1"), ("ada", "q2"))
    ]
    (tmp_path / "lamp.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "lamp.jsonl"


@pytest.mark.parametrize("words", [(), ("--stranger",)])
def test_predictions_stand_in_the_order_of_the_file(personaplug, lamp_log, tmp_path, words):
    words = (*LAMP_WORDS, *words, "--out", tmp_path / "r.json", "--predictions", tmp_path / "p.json")
    assert personaplug("evaluate", lamp_log, *words).exit_code == 0
    golds = json.loads((tmp_path / "p.json").read_text())["golds"]
    assert [gold["id"] for gold in golds] == ["q9", "q10", "q1", "q2"]


def test_an_evaluation_that_fails_leaves_the_predictions_that_stand_there(personaplug, lamp_log, tmp_path, monkeypatch):
    (tmp_path / "p.json").write_text("of yesterday")
    words = (*LAMP_WORDS, "--out", tmp_path / "r.json", "--predictions", tmp_path / "p.json")
    assert personaplug("evaluate", tmp_path / "nowhere.jsonl", *words).exit_code == 1

    def fail(*_, **__):
        raise ConfigError("no such run")

    monkeypatch.setattr(methods, "build_method", fail)
    assert personaplug("evaluate", lamp_log, *words).exit_code == 1
    assert (tmp_path / "p.json").read_text() == "of yesterday"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lamp.jsonl", "p.json"]


def test_predictions_that_cannot_be_written_are_refused_before_the_work(personaplug, lamp_log, built, tmp_path):
    for place in (tmp_path, tmp_path / "none" / "p.json"):
        words = (*LAMP_WORDS, "--out", tmp_path / "r.json", "--predictions", place)
        assert personaplug("evaluate", lamp_log, *words).exit_code == 1
    assert built == []


def test_predictions_of_a_task_without_official_format_are_refused_before_the_work(evaluate, built, tmp_path):
    result = evaluate("--predictions", tmp_path / "p.json")
    assert result.exit_code == 1
    assert "no task of LaMP" in result.stderr
    assert built == []
