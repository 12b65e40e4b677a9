"""What the comparison of encoders says of a log whose answers are known."""

import json
from datetime import date, timedelta

import pytest
from click.testing import CliRunner

from benchmarks.encoders import main
from tests import tiny

SUBJECTS = {"boats": "sail", "trees": "plant", "stars": "watch"}


@pytest.fixture
def log(tmp_path):
    """Two users ask the same in turn: each answers every subject with a word of its own, always the same."""
    rows = [
        {
            "user_id": user,
            "time": str(date(2024, 1, 1) + timedelta(days=day)),
            "input": list(SUBJECTS)[day % 3],
            "output": f"{list(SUBJECTS.values())[day % 3]} {user * 9}",
        }
        for user in ("ada", "bob")
        for day in range(12)
    ]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_equal_inputs_are_nearest_and_an_author_is_known_by_a_word_of_their_own(log, tmp_path):
    encoder = tiny.save_model(tiny.text_encoder(), tmp_path / "encoder")
    words = [str(log), "--task", "log", "--encoder", encoder, "--encoder", encoder, "--queries", "4"]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert f"{encoder} retrieved: 1.000 [1.000, 1.000]" in result.output
    assert f"{encoder} author: 1.000 [1.000, 1.000]" in result.output
    assert f"{encoder} less {encoder} retrieved: 0.000 [0.000, 0.000]" in result.output
    assert "best retrieved: 1.000" in result.output
