"""Whom training saw, and whom it did not, are told apart."""

import json
from dataclasses import replace

import pytest

from benchmarks.new_users import main
from tests.evaluation.factories import TAGS, make_examples, make_report


def report(name, *, gains=0.0):
    """Answer six queries of three users; ``gains`` are nats that the third has more than the others."""
    made = make_report(name, task=TAGS, examples=make_examples(6, target="a"))
    answers = [
        replace(each, user_id=f"user {at % 3}", log_likelihood=each.log_likelihood + (gains if at % 3 == 2 else 0.0))
        for at, each in enumerate(made.answers)
    ]
    return replace(made, answers=tuple(answers))


@pytest.mark.parametrize(("trained", "counts"), [((0, 1), (4, 2)), ((0,), (2, 4)), ((0, 1, 2), (6,)), ((), (6,))])
def test_each_user_counts_on_the_side_of_their_training_queries(trained, counts, tmp_path, capsys):
    rows = [{"user_id": f"user {at}", "split": "train" if at in trained else "history"} for at in range(3)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, gains in (("plug", 0.5), ("tuned-lora", 0.0)):
        report(name, gains=gains).write(tmp_path / f"{name}.json")
    log, ours, theirs = (str(tmp_path / name) for name in ("log.jsonl", "plug.json", "tuned-lora.json"))
    main([log, ours, "--against", theirs])
    said = capsys.readouterr().out.splitlines()
    assert [int(line.split()[0]) for line in said] == list(counts)
    if trained == (0, 1):
        assert "4 queries of 2 users with training queries: nats-per-answer +0.00" in said[0]
        assert "2 queries of 1 users whom training never saw: nats-per-answer -" in said[1]
