"""The whole way in Python: what the commands do, without their screens."""

import json
from contextlib import contextmanager
from dataclasses import fields

import pytest

from personaplug.errors import ConfigError, DataError
from personaplug.method_kinds import METHOD_KINDS, kind_of
from personaplug.methods.retrieval import build_retriever
from personaplug.plug.query_source import QuerySource
from personaplug.plug.run import RunConfig
from personaplug.rivals.learned_retrieval.run import RetrievalConfig
from personaplug.rivals.user_lora.run import UserLoraConfig
from personaplug.tasks.task import load_task
from personaplug.workflows.configs import overridden
from personaplug.workflows.evaluate import evaluate, write_profiles
from personaplug.workflows.index import index
from personaplug.workflows.overrides import PlugOverrides, RetrievalOverrides, UserLoraOverrides, overrides_for
from personaplug.workflows.progress import SILENT, counted
from personaplug.workflows.run_kinds import read_or_preset
from personaplug.workflows.specs import MethodSpec, QuerySpec
from personaplug.workflows.train import train
from tests.world import save_models

ROWS = [
    {"user_id": user, "time": f"2024-01-{day + 1:02}", "id": str(day), "input": f"tea {day}?", "output": answer}
    for user, answer in (("ada", "yes"), ("bob", "no"))
    for day in range(6)
]


KINDS = {RunConfig: PlugOverrides, RetrievalConfig: RetrievalOverrides, UserLoraConfig: UserLoraOverrides}


class Listening:
    """Remembers what it is told."""

    def __init__(self):
        self.bars, self.notes, self.bad = [], [], []

    @contextmanager
    def bar(self, what, *, total=None, transient=False):  # noqa: ARG002
        self.bars.append(what)
        yield lambda done, word="", *, total=None: None  # noqa: ARG005

    def note(self, line):
        self.notes.append(line)

    def bad_row(self, error):
        self.bad.append(error)


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    return save_models(tmp_path_factory.mktemp("models"))


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + "no row\n")
    return path


def test_from_a_log_to_a_report_nothing_is_written_to_a_screen(log, models, tmp_path, capfd):
    store, out, told = tmp_path / "log.db", tmp_path / "plug", Listening()
    counts = index(log, "log", store_path=store, encoder=models["encoder"], progress=told)
    said = PlugOverrides(task="log", encoder=models["encoder"], epochs=1.0, backbone=models["decoder-only"])
    run = overridden(RunConfig(), said, out=out)
    fitted = train(run, log, out=out, store=store, progress=told)
    method = MethodSpec("plug", QuerySource.ENCODER, run=out)
    report = evaluate(
        log, "log", method=method, queries=QuerySpec(stranger=True), out=tmp_path / "plug.json", progress=told
    )
    assert (counts.new_items, fitted.steps > 0, report.kind, len(report.answers)) == (12, True, "plug", 2)
    assert told.bars == ["check", "index", "read", "train plug", "read", "evaluate plug"]
    assert len(told.bad) == 3  # once a command
    assert told.notes == []  # two users of equal histories
    assert capfd.readouterr() == ("", "")


def test_whoever_listens_to_nothing_is_stopped_by_a_row_that_cannot_be_read(log, models, tmp_path):
    with pytest.raises(DataError, match=r"log\.jsonl:13: not a row"):
        index(log, "log", store_path=tmp_path / "log.db", encoder=models["encoder"])
    assert not (tmp_path / "log.db").exists()


@pytest.mark.parametrize("name", [name for name, kind in METHOD_KINDS.items() if kind.learns])
def test_every_method_that_learns_has_a_configuration_and_what_overrides_it(name, tmp_path):
    kind = kind_of(name)
    said = overrides_for(kind)(task="log", backbone="some/model", epochs=3.0, seed=7, max_input_tokens=11)
    run = overridden(read_or_preset(kind, None, preset="default"), said, settings=["backbone.revision=x"], out=tmp_path)
    assert (run.task, run.backbone.model, run.backbone.revision) == ("log", "some/model", "x")
    fitting = run.fitting if isinstance(run, RetrievalConfig) else run.training
    limits = run.scoring if isinstance(run, RetrievalConfig) else run.training
    assert (fitting.epochs, fitting.seed, limits.max_input_tokens) == (3, 7, 11)


def test_what_is_not_said_stays_as_configured(tmp_path):
    for kind, said in KINDS.items():
        assert overridden(kind(), said(), out=tmp_path) == kind()


def test_what_does_not_fit_is_refused_whichever_run_it_is_of(tmp_path):
    for kind, said in KINDS.items():
        with pytest.raises(ConfigError, match="epochs"):
            overridden(kind(), said(epochs=-1.0), out=tmp_path)
    with pytest.raises(ConfigError, match="UserLoraOverrides do not go with a RunConfig"):
        overridden(RunConfig(), UserLoraOverrides(), out=tmp_path)


def test_rows_pass_in_order_whether_or_not_somebody_counts():
    for progress in (SILENT, Listening()):
        assert list(counted(range(1001), "rows", progress=progress)) == list(range(1001))


SAYING = {
    "task": "other",
    "method": {RunConfig: "tuned-prompt", RetrievalConfig: "rspg-pre"}, "backbone": "b", "encoder": "e",
    "k": 9, "queries": 9, "epochs": 9.0, "batch_size": 9, "max_input_tokens": 9, "max_output_tokens": 9, "seed": 9,
    "score": "metric", "dev_queries": 9, "item_tokens": 9, "max_new_tokens": 9, "split": "dev", "history": "stranger",
}  # fmt: skip
"""Something else than the default for everything that can be said."""


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_said_changes_the_run(kind, tmp_path):
    for name in {each.name for each in fields(KINDS[kind])} - {"ropg"}:  # ropg wants trained runs
        value = SAYING[name][kind] if name == "method" else SAYING[name]
        assert overridden(kind(), KINDS[kind](**{name: value}), out=tmp_path) != kind(), name


def test_descriptions_are_written_by_a_method_that_describes_and_into_a_folder(log):
    for words in (
        MethodSpec("bm25", QuerySource.ENCODER, profiles=log.parent),
        MethodSpec("text-profile", QuerySource.ENCODER),
    ):
        with pytest.raises(ConfigError, match="needs a folder"):
            write_profiles(log, "log", method=words, queries=QuerySpec())


def test_no_name_is_taken_for_another_retrievers():
    with pytest.raises(ConfigError, match="no untrained retriever 'oldest'"):
        build_retriever("oldest", load_task("log"), store=None, encoder_name=None, query_source=QuerySource.ENCODER)
