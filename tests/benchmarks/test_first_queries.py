from dataclasses import replace

from benchmarks.first_queries import of_first_queries, reports_in
from tests.evaluation.factories import TAGS, make_examples, make_report


def report(name, *, says):
    made = make_report(name, says=says, task=TAGS, examples=make_examples(6, target="a"))
    answers = [
        replace(answer, user_id=f"user {at % 2}", history_items=(3, 5, 2, 4, 9, 8)[at])
        for at, answer in enumerate(made.answers)
    ]
    return replace(made, answers=tuple(answers))


def test_each_user_is_left_with_the_query_that_has_the_shortest_history():
    kept = of_first_queries(report("plug", says="a"))
    assert [(answer.user_id, answer.history_items) for answer in kept.answers] == [("user 0", 2), ("user 1", 4)]
    assert kept.score("accuracy").answers == 2


def test_a_contenders_seeds_stand_together_and_its_measurements_on_dev_are_passed_over(tmp_path):
    for place in ("plug/seed-0/test", "plug/seed-1/test", "bm25/all/test-k2", "bm25/all/dev-k2"):
        path = tmp_path / f"{place}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        report("plug", says="a").write(path)
    assert {name: len(reports) for name, reports in reports_in(tmp_path).items()} == {"bm25": 1, "plug": 2}
