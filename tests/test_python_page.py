"""The examples of ``docs/python.md``, on tiny models."""

import re
from pathlib import Path

import pytest

import personaplug
from personaplug.errors import UnknownUserError
from tests.world import save_models

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")
EXAMPLES = "\n".join(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))


def test_the_examples_run_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    models = save_models(tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    tiny = EXAMPLES.replace('"minilm"', repr(models["encoder"])).replace('"smollm2"', repr(models["decoder-only"]))
    assert tiny.count(str(tmp_path)) == 2
    known: dict = {}
    exec(compile(tiny, "docs/python.md", "exec"), known)

    assert known["own"].setting.history == "own"
    assert known["strange"].setting.history == "stranger"
    assert len(known["answers"]) == 8
    shown = capsys.readouterr().out
    for words in ("texts encoded", "8 steps in", "nats per answer", "own minus stranger's"):
        assert words in shown
    with personaplug.PersonaStore.open("log.db") as store, pytest.raises(UnknownUserError):
        store.get(known["user"])


def test_every_name_of_the_package_stands_on_the_page():
    assert [name for name in personaplug.__all__ if f"`{name}`" not in PAGE] == []
