"""The two commands of the leak, from a run and a log to their tables, on tiny models."""

import json

from click.testing import CliRunner

from benchmarks.leak import price, table, words
from benchmarks.leak.__main__ import main
from tests.benchmarks.conftest import SPLITS


def test_every_form_is_attacked_and_openings_are_read_out_of_a_persona(world, monkeypatch):
    monkeypatch.setattr(words, "SHORTEST", 1)  # a token of the tiny models is a byte
    _invoke(price.main, world, "price.json", "--queries", "2")
    _invoke(main, world, "leak.json", "--paper", str(world / "paper"))
    found = json.loads((world / "leak.json").read_text())
    assert found["users"] == {"reported": SPLITS["dev"] + SPLITS["test"], "known": SPLITS["train"]}
    lines: dict[tuple[str, str, str], dict] = {}
    for line in found["lines"]:
        lines.setdefault((line["form"], line["switch"], line["attack"]), {}).update(line["figures"])
    assert {form for form, *_ in lines} == {
        "nothing", "persona", "by the query", "of all items", "paper's persona", "stored vectors",
    }  # fmt: skip
    assert lines["of all items", "none", "pursuit"]["recall"]["value"] > 0.5
    assert lines["stored vectors", "none", "likeness of the item alone"]["stranger"]["value"] > 0.9
    result = CliRunner().invoke(table.main, [str(world / "leak.json"), "--price", str(world / "price.json")])
    assert result.exit_code == 0, result.output
    written = (world / "leak.md").read_text()
    assert all(f"| {form} | " in written for form, *_ in lines)
    assert "| none | 0.000 [0.000, 0.000] |" in written


def _invoke(command, world, out, *options):
    words = [str(world / "run"), str(world / "store.db"), str(world / "log.jsonl"), "--out", str(world / out), *options]
    result = CliRunner().invoke(command, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
