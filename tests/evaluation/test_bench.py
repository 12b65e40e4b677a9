"""What a bench comes to: choices on dev, comparisons over seeds, costs."""

from dataclasses import replace

import pytest

from personaplug.evaluation import bench, comparison
from personaplug.evaluation.averaging import averages
from personaplug.evaluation.bench import BenchResult, best_retrieval, choose_k, summarize
from personaplug.evaluation.cost import Cost, TrainingCost
from personaplug.evaluation.published import PublishedScore
from personaplug.reports.bench_markdown import COSTS, bench_markdown, costs_in_words, made_in_words
from personaplug.reports.bench_page import bench_html
from tests.evaluation.factories import RATINGS, make_examples, make_report


def dev(method, **right):
    """Make reports on dev by number of items: of each the seeds' numbers of right answers among 12."""
    return {int(k.removeprefix("k")): [scoring(method, hits) for hits in each] for k, each in right.items()}


def scoring(method, hits, **changes):
    examples = [replace(each, target="a" if place < hits else "b") for place, each in enumerate(make_examples(12))]
    return make_report(method, says="a", examples=examples, **changes)


def without_likelihood(report):
    return replace(report, scores=tuple(score for score in report.scores if score.metric == "accuracy"))


def named(method, *nats, **changes):
    return [make_report(method, nats=each, **changes) for each in nats]


def test_k_is_chosen_by_the_mean_over_seeds():
    choice = choose_k("ropg-kd", "accuracy", dev=dev("ropg-kd", k1=(6, 6), k2=(3, 11), k4=(12, 1)))
    assert [(each.k, pytest.approx(each.score)) for each in choice.tried] == [(1, 6 / 12), (2, 7 / 12), (4, 6.5 / 12)]
    assert (choice.chosen.k, choice.label) == (2, "ropg-kd, k=2")


def test_of_equals_the_smallest_k_is_chosen():
    assert choose_k("bm25", "accuracy", dev=dev("bm25", k4=(6,), k1=(6,), k2=(5,))).chosen.k == 1


def test_of_equal_scores_the_k_with_the_fewest_nats_an_answer_is_chosen():
    reports = {k: [scoring("bm25", 6, nats=nats)] for k, nats in ((1, 1.3), (2, 1.1), (4, 1.2))}
    choice = choose_k("bm25", "accuracy", dev=reports | {8: [scoring("bm25", 5, nats=0.1)]})
    assert [each.nats for each in choice.tried] == pytest.approx([2.6, 2.2, 2.4, 0.2])
    assert choice.chosen.k == 2


def test_means_over_seeds_that_only_rounding_tells_apart_are_equal():
    pairs = {k: [scoring("bm25", hits, nats=1 / k) for hits in each] for k, each in ((1, (0, 7)), (2, (3, 4)))}
    choice = choose_k("bm25", "accuracy", dev=pairs)
    assert choice.tried[0].score > choice.tried[1].score
    assert choice.chosen.k == 2


def test_of_equal_retrievals_that_with_the_fewest_nats_an_answer_is_the_best_whatever_the_recipes_order():
    reports = scoring("bm25", 6, nats=2.0), scoring("dense", 6, nats=1.0)
    choices = [choose_k(report.method, "accuracy", dev={1: [report]}) for report in reports]
    assert best_retrieval(choices).method == best_retrieval(choices[::-1]).method == "dense"


def test_without_likelihood_the_order_decides_between_equals():
    likely, unlikely = scoring("bm25", 6, nats=1.0), without_likelihood(scoring("dense", 6))
    assert choose_k("dense", "accuracy", dev={2: [likely], 1: [unlikely]}).chosen.k == 1
    choices = [choose_k(each.method, "accuracy", dev={1: [each]}) for each in (unlikely, likely)]
    assert best_retrieval(choices).method == "dense"


def test_where_lower_is_better_the_lowest_is_chosen():
    examples = make_examples(12, target="3")
    reports = {k: [make_report("bm25", says=says, task=RATINGS, examples=examples)] for k, says in ((1, "5"), (2, "3"))}
    assert choose_k("bm25", "mae", dev=reports).chosen.k == 2


def test_the_best_retrieval_is_the_best_on_dev_whatever_test_says():
    choices = [
        choose_k("bm25", "accuracy", dev=dev("bm25", k1=(9,))),
        choose_k("dense", "accuracy", dev=dev("dense", k2=(8,))),
    ]
    runs = {
        "tuned-prompt": named("tuned-prompt", 1.2),
        "bm25, k=1": named("bm25, k=1", 1.0, says="b"),
        "dense, k=2": named("dense, k=2", 1.0, says="a"),
    }
    result = summarize(runs, choices)
    assert best_retrieval(choices).label == "bm25, k=1"
    assert result.against_retrieval.baseline == "bm25, k=1"
    assert result.comparison.baseline == "tuned-prompt"


def test_without_retrieval_there_is_nothing_to_compare_with():
    result = summarize({"plain": named("plain", 1.0)}, [])
    assert best_retrieval([]) is None
    assert result.against_retrieval is None


def test_seeds_stand_by_themselves_and_costs_are_of_a_thousand_queries():
    slow, fast = (
        replace(report, cost=Cost(seconds, 10.0, 7.0), peak_memory_mb=memory)
        for report, seconds, memory in zip(named("plug", 1.0, 2.0), (3.0, 1.0), (200.0, 300.0), strict=True)
    )
    result = summarize({"plain": named("plain", 1.0), "plug": [slow, fast]}, [])
    assert [row.label for row in result.seeds] == ["plug"]
    row = next(row for row in result.costs if row.label == "plug")
    assert row.seconds == pytest.approx((3 + 1) / 2 / 12 * 1000)
    assert (row.peak_memory_mb, row.prompt_tokens, row.user_bytes) == (300, 10, 7)


def test_items_beside_a_persona_are_chosen_on_dev_but_are_no_retrieval_to_beat():
    mixed = choose_k("plug+bm25", "accuracy", dev=dev("plug+bm25", k1=(9,), k2=(11,)), is_retrieval=False)
    alone = choose_k("bm25", "accuracy", dev=dev("bm25", k1=(3,)))
    assert mixed.label == "plug+bm25, k=2"
    assert best_retrieval([mixed, alone]).label == "bm25, k=1"
    assert best_retrieval([mixed]) is None


def test_training_stands_beside_the_costs_and_an_interrupted_one_is_not_counted():
    trainings = {"plug": [TrainingCost(3.0), TrainingCost(None)], "user-lora": [TrainingCost(9.0, 1.5)]}
    runs = {name: named(name, 1.0) for name in ("plain", *trainings)}
    rows = {row.label: row for row in summarize(runs, [], trainings=trainings).costs}
    assert (rows["plain"].training_seconds, rows["plain"].training_seconds_a_user) == (None, None)
    assert (rows["plug"].training_seconds, rows["plug"].training_seconds_a_user) == (3.0, None)
    assert (rows["user-lora"].training_seconds, rows["user-lora"].training_seconds_a_user) == (9.0, 1.5)
    assert costs_in_words(rows["user-lora"])[-2:] == ["9", "1.5"]
    assert len(costs_in_words(rows["plain"])) == len(COSTS)


def test_averages_at_hand_are_not_made_again(monkeypatch):
    runs = {"plain": named("plain", 1.0), "plug": named("plug", 0.8, 0.9), "bm25, k=1": named("bm25, k=1", 1.0)}
    choices, means = [choose_k("bm25", "accuracy", dev=dev("bm25", k1=(9,)))], averages(runs)
    expected = summarize(runs, choices)
    for module in (bench, comparison):
        monkeypatch.setattr(module, "averages", lambda _: pytest.fail("averaged again"))
    assert summarize(runs, choices, means=means) == expected


def made_as(report, *, time="", **changes):
    return replace(report, setting=replace(report.setting, time=time, **changes))


def test_a_task_says_once_for_each_machine_and_software_on_which_days_it_was_measured():
    first, second, third = named("plug", 0.8, 0.9, 1.0)
    with_new = {"machine": "an abacus", "software": "beads 2"}
    days = [
        made_as(first, time="2026-11-30T23:59:00+00:00", **with_new),
        made_as(second, time="2026-11-28T01:00:00+00:00", **with_new),
        made_as(third),  # of before reports said it
    ]
    runs = {"plug": days, "plain": [made_as(*named("plain", 1.0), time="2026-11-29T00:00:00+00:00", **with_new)]}
    made = summarize(runs, []).made
    assert made == ("2026-11-28 to 2026-11-30 on an abacus with beads 2", "on a machine")
    assert made_in_words(summarize(runs, [])) == f"Measured {'; '.join(made)}."


@pytest.fixture
def written():
    runs = {
        "tuned-prompt": named("tuned-prompt", 1.2, 1.3),
        "bm25, k=2": named("bm25, k=2", 1.0),
        "plug": named("plug", 0.8, 0.9),
        "plug, stranger's history": named("plug", 1.1, 1.2, history="stranger"),
    }
    choices = [choose_k("bm25", "accuracy", dev=dev("bm25", k1=(3,), k2=(9,)))]
    published = [
        PublishedScore("BM25 <x>", "bm25", "accuracy", 0.626),
        PublishedScore("RSPG", "rspg-post", "accuracy", 0.6),
    ]
    result = BenchResult("a | b", "seeds = [0, 1]", (0, 1), (summarize(runs, choices, published=published),), "a paper")
    return result, runs


def test_published_scores_stand_beside_measured_ones(written):
    text = bench_markdown(written[0])
    assert "| BM25 \\<x\\> | Accuracy | 0.626 | 1.000 |" in text
    assert "| RSPG | Accuracy | 0.600 | \N{EN DASH} |" in text
    assert "bm25: k=1 0.250, k=2 0.750; chosen k=2" in text


def test_the_page_is_the_same_each_time_and_escapes_names(written):
    result, runs = written
    means = averages(runs)
    page = bench_html(result, [means])
    assert page == bench_html(result, [means])
    assert "BM25 &lt;x&gt;" in page
    assert page.count("<svg") == 3
    assert page.count("seed 1") >= 1
