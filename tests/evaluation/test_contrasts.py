from dataclasses import replace

import pytest

from personaplug.errors import PersonaPlugError
from personaplug.evaluation.contrasts import draw_contrasts
from tests.evaluation.factories import RATINGS, make_examples, make_report


def reports_of(persona, without, *, task=RATINGS, targets="5"):
    """Make two reports whose answers are given one by one."""
    reports = {}
    for label, says in (("plug", persona), ("plain", without)):
        examples = [replace(e, target=target) for e, target in zip(make_examples(len(says)), targets, strict=True)]
        report = make_report(label, task=task, examples=examples)
        answers = [replace(a, prediction=word) for a, word in zip(report.answers, says, strict=True)]
        reports[label] = replace(report, answers=tuple(answers))
    return reports


def test_outcomes_follow_the_metric_where_lower_is_better():
    reports = reports_of("5143", "4253", targets="5533")
    contrasts = draw_contrasts("plug", "plain", reports=reports, each=9)
    assert (contrasts.metric, contrasts.without, contrasts.persona) == ("mae", "plain", "plug")
    assert contrasts.counts == (2, 1, 1)
    found = {contrast.persona.id: contrast for contrast in contrasts.drawn}
    assert [found[place].outcome for place in "0123"] == ["helped", "hurt", "helped", "unchanged"]
    assert (found["1"].score_without, found["1"].score_persona) == (3, 4)
    assert all(contrast.persona.query == contrast.without.query for contrast in contrasts.drawn)


def test_as_many_of_each_outcome_are_drawn_as_there_are_up_to_the_number_asked_for():
    contrasts = draw_contrasts(
        "plug", "plain", reports=reports_of("5" * 10 + "1", "1" * 10 + "5", targets="5" * 11), each=3
    )
    assert contrasts.counts == (10, 1, 0)
    assert [contrast.outcome for contrast in contrasts.drawn] == ["helped"] * 3 + ["hurt"]


def test_the_lot_falls_by_seed():
    reports = reports_of("5" * 30, "1" * 30, targets="5" * 30)
    drawn = [draw_contrasts("plug", "plain", reports=reports, seed=seed).drawn for seed in (0, 0, 1, 2, 3)]
    assert drawn[0] == drawn[1]
    assert len({tuple(contrast.persona.id for contrast in each) for each in drawn}) > 2


def test_queries_whose_answer_is_not_known_are_left_out():
    reports = reports_of("51", "15", targets=["5", None])
    assert draw_contrasts("plug", "plain", reports=reports).counts == (1, 0, 0)
    assert draw_contrasts("plug", "plain", reports=reports_of("51", "15", targets=[None, None])) is None


def test_answers_to_different_queries_are_not_put_side_by_side():
    reports = reports_of("55", "11", targets="55")
    reports["plain"] = replace(reports["plain"], answers=reports["plain"].answers[:1])
    with pytest.raises(PersonaPlugError, match="different queries"):
        draw_contrasts("plug", "plain", reports=reports)
