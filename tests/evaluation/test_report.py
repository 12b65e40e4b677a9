import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.errors import DataError
from personaplug.evaluation.report import Report, Setting
from tests.evaluation.factories import TITLES, make_examples, make_report


@pytest.fixture
def path(tmp_path):
    return tmp_path / "report.json"


@pytest.mark.parametrize("method", ["plain", "plug"])  # without and with attention
def test_what_is_written_is_read_again(path, method):
    report = make_report(method)
    report.write(path)
    assert Report.read(path) == report


def test_a_report_of_before_it_named_its_method_has_the_one_in_its_label(path):
    make_report("plug+bm25, k=2").write(path)
    values = json.loads(path.read_text())
    del values["kind"]
    path.write_text(json.dumps(values))
    assert Report.read(path).kind == "plug+bm25"
    assert Report.read(path).has_persona


@settings(max_examples=30)
@given(text=st.text() | st.just("🙂" * 100_000))
def test_any_text_survives(text, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.json"
    report = make_report("plain", says=text, task=TITLES, examples=make_examples(2, text=text, target=text))
    report.write(path)
    assert Report.read(path) == report


def test_a_lone_surrogate_survives(path):
    report = make_report("plain", says="broken \ud800 emoji")
    report.write(path)
    assert Report.read(path) == report


def test_a_report_without_targets_is_read_again(path):
    report = make_report("plain", examples=make_examples(target=None))
    report.write(path)
    assert Report.read(path) == report


def test_a_write_that_fails_leaves_the_old_report_and_no_other_file(path, monkeypatch):
    old = make_report("plain")
    old.write(path)

    def fail(*_):
        raise OSError("the disk is full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="full"):
        make_report("plug").write(path)
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert Report.read(path) == old


def test_the_main_metric_comes_first():
    assert make_report().scores[0].metric == "accuracy"
    assert make_report(task=TITLES).scores[0].metric == "rouge-1"


def test_a_score_is_found_by_its_metric():
    report = make_report(nats=1.5)
    assert report.score("nats-per-token").value == pytest.approx(1.5)
    assert report.score("mae") is None


def test_a_setting_names_the_machine_by_itself():
    assert "cores" in Setting().machine


def test_a_report_of_before_software_and_time_were_kept_is_read_without_them(path):
    make_report().write(path)
    values = json.loads(path.read_text())
    del values["setting"]["software"], values["setting"]["time"]
    path.write_text(json.dumps(values))
    assert (Report.read(path).setting.software, Report.read(path).setting.time) == ("", "")


def test_a_missing_file_is_an_error_that_names_it(path):
    with pytest.raises(DataError, match=r"report\.json: there is no such report"):
        Report.read(path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"no"])
def test_a_file_that_is_no_json_is_an_error(path, content):
    path.write_bytes(content)
    with pytest.raises(DataError, match="not JSON"):
        Report.read(path)


@pytest.mark.parametrize("content", ["[]", "3", "null"])
def test_json_that_is_no_object_is_no_report(path, content):
    path.write_text(content)
    with pytest.raises(DataError, match="not a report"):
        Report.read(path)


@pytest.mark.parametrize("schema", [2, None, "1"])
def test_a_report_of_another_version_is_refused(path, schema):
    make_report().write(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema": schema}))
    with pytest.raises(DataError, match="not a report of version 1"):
        Report.read(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"surprise": 1}, "unknown key 'surprise'"),
        ({"seconds": "long"}, "seconds is 'long'"),
        ({"scores": [{"metric": "beauty"}]}, "beauty"),
        ({"attention": {"examples": "many"}}, "attention: examples is 'many'"),
    ],
)
def test_a_report_that_was_tampered_with_is_an_error_that_names_the_place(path, change, message):
    make_report("plug").write(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=message):
        Report.read(path)
