"""Where the right item, or the right retriever, is known, training finds it."""

from dataclasses import replace

import pytest
import torch

from personaplug.backbone.loading import BackboneConfig, load_backbone
from personaplug.embedder.encoder import TextEncoder
from personaplug.errors import ConfigError
from personaplug.records import Example, Profile
from personaplug.retrieval.recency import RecencyRetriever
from personaplug.rivals.learned_retrieval.candidates import CandidateSet, item_candidates
from personaplug.rivals.learned_retrieval.fitting import Dev, fit_chooser
from personaplug.rivals.learned_retrieval.objectives import Distillation, PolicyGradient, option_scores
from personaplug.rivals.learned_retrieval.prompt_scores import metric_score
from personaplug.rivals.learned_retrieval.ranker import ItemRanker, RankerConfig
from personaplug.rivals.learned_retrieval.run import FittingConfig, RetrievalConfig, ScoringConfig
from personaplug.rivals.learned_retrieval.score_cache import ScoreRequest
from personaplug.rivals.learned_retrieval.selector import PromptSelector
from personaplug.rivals.learned_retrieval.training import Listener, train_chooser
from personaplug.tasks.task import HistoryRules, Retrieval, load_task
from tests import tiny
from tests.factories import make_item
from tests.world import NOW, TASK

KINDS = {"gold": 2.0, "lead": -2.0}
FAST = FittingConfig(epochs=8.0, batch_size=8, learning_rate=3e-3, head_learning_rate=3e-2)
NO_DEV = Dev((), lambda _: 0.0, None)


def likes_gold(questions):
    """Stand for a language model that one kind of item helps, wherever it is in the prompt."""
    return [sum(worth for kind, worth in KINDS.items() if kind in question.prompt) for question in questions]


def item_choices(numbers, *, kinds=("lead", "gold", "lead", "lead")):
    """Offer items of which one kind helps, in an order that tells nothing of it."""
    made = []
    for number in numbers:
        shift = number % len(kinds)
        options = tuple(f"{kind} {number} {at}" for at, kind in enumerate(kinds[shift:] + kinds[:shift]))
        made.append(CandidateSet(f"about {number}", options, tuple(f"{option} ; ask" for option in options), "y"))
    return made


def places(chooser, choices):
    return [int(chooser.logits([choice.query], [choice.options])[0].argmax()) for choice in choices]


def finds_gold(chooser, choices):
    found = [choice.options[at] for choice, at in zip(choices, places(chooser, choices), strict=True)]
    return sum("gold" in text for text in found) / len(found)


@pytest.mark.parametrize("item_encoder", ["trained", "frozen"])
@pytest.mark.parametrize("objective", [Distillation(likes_gold, 1.0), PolicyGradient(likes_gold)], ids=["kd", "rl"])
def test_a_retriever_learns_which_items_the_language_model_likes(objective, item_encoder, tmp_path):
    encoder = tiny.text_encoder()
    ranker = ItemRanker(encoder, RankerConfig(temperature=0.2, item_encoder=item_encoder))
    unseen = item_choices(range(100, 120))
    fingerprint, before = encoder.fingerprint, finds_gold(ranker, unseen)
    fit_chooser(ranker, item_choices(range(48)), objective=objective, config=FAST, dev=NO_DEV, metrics=tmp_path / "m")
    assert before < 0.6
    assert finds_gold(ranker, unseen) > 0.9
    assert TextEncoder(encoder.model, encoder.tokenizer, encoder.config).fingerprint == fingerprint


def retriever_candidates(numbers):
    """Let the first retriever be right for queries about cats, the second for those about dogs."""
    made = []
    for number in numbers:
        subject = ("cats", "dogs")[number % 2]
        prompts = tuple(f"{name} on {subject} {number}" for name in ("first", "second"))
        made.append(CandidateSet(subject, prompts, prompts, "y"))
    return made


def likes_the_right_one(questions):
    return [2.0 * (("first" in q.prompt) == ("cats" in q.prompt)) for q in questions]


def test_a_selector_learns_which_retriever_suits_a_query(tmp_path):
    selector = PromptSelector(tiny.text_encoder(), 2)
    assert selector.logits(["cats"], [["first", "second"]]).tolist() == [[0.0, 0.0]]
    config = replace(FAST, epochs=15.0)
    objective = Distillation(likes_the_right_one, 1.0)
    fit_chooser(
        selector,
        retriever_candidates(range(48)),
        objective=objective,
        config=config,
        dev=NO_DEV,
        metrics=tmp_path / "m",
    )
    unseen = retriever_candidates(range(100, 120))
    assert places(selector, unseen) == [number % 2 for number in range(100, 120)]
    assert selector.choose(*zip(*((each.query, each.options) for each in unseen), strict=True)) == places(
        selector, unseen
    )


def test_a_selector_learns_which_retriever_is_good_for_most(tmp_path):
    selector = PromptSelector(tiny.text_encoder(), 3)
    choices = [CandidateSet("q", ("same",) * 3, (f"{n} bad", f"{n} good", f"{n} bad"), "y") for n in range(24)]
    objective = Distillation(lambda qs: [float("good" in q.prompt) for q in qs], 1.0)
    fit_chooser(selector, choices, objective=objective, config=FAST, dev=NO_DEV, metrics=tmp_path / "m")
    assert selector.choose(["another"], [["same"] * 3]) == [1]


def test_the_weights_that_choose_best_on_dev_are_kept_those_of_the_start_included(tmp_path):
    ranker = ItemRanker(tiny.text_encoder(), RankerConfig())
    start = {name: weight.clone() for name, weight in ranker.state_dict().items()}
    looks = iter([0.9, 0.1, 0.2])
    dev = Dev(item_choices([1]), lambda _: next(looks), 0.5)
    fitted = fit_chooser(
        ranker, item_choices(range(8)), objective=Distillation(likes_gold, 1.0), config=replace(FAST, epochs=2.0),
        dev=dev, metrics=tmp_path / "m",
    )  # fmt: skip
    assert (fitted.dev_score, fitted.dev_untrained, fitted.dev_reference) == (0.9, 0.9, 0.5)
    assert all((start[name] == weight).all() for name, weight in ranker.state_dict().items())


def test_without_training_is_the_first_look_at_the_chooser_and_no_other_retrievers_score(tmp_path):
    ranker = ItemRanker(tiny.text_encoder(), RankerConfig())
    looks, told = iter([0.25, 0.75]), []
    dev = Dev(item_choices([1]), lambda _: next(looks), 0.5)
    fitted = fit_chooser(
        ranker, item_choices(range(8)), objective=Distillation(likes_gold, 1.0), config=replace(FAST, epochs=1.0),
        dev=dev, metrics=tmp_path / "m", on_progress=lambda now: told.append(now.summary),
    )  # fmt: skip
    assert fitted.summary.endswith("mean score on dev 0.750, without training 0.250")
    assert told
    assert all(words.endswith("dev 0.250, without training 0.250") for words in told)


@pytest.mark.parametrize("method", ["ropg-kd", "ropg-rl"])
def test_the_same_seed_gives_the_same_weights_and_another_others(method, tmp_path):
    def weights(seed, folder):
        ranker = ItemRanker(tiny.text_encoder(), RankerConfig())
        run = RetrievalConfig(method=method, fitting=replace(FAST, epochs=1.0, seed=seed))
        listener = Listener(tiny.decoder_only(), run, TASK, folder=tmp_path / folder, max_input_tokens=64)
        (tmp_path / folder).mkdir(exist_ok=True)
        train_chooser(ranker, item_choices(range(16)), listener=listener, run=run, folder=tmp_path / folder)
        return torch.cat([weight.flatten() for weight in ranker.state_dict().values()])

    first, again, other = weights(0, "a"), weights(0, "b"), weights(1, "c")
    assert (first == again).all()
    assert not (first == other).all()
    assert (weights(0, "a") == first).all()  # what the language model said is read, not asked


def test_queries_without_a_choice_are_left_out_and_none_left_is_an_error(tmp_path):
    alone = [replace(choice, options=choice.options[:n], prompts=choice.prompts[:n]) for choice, n in
             zip(item_choices(range(3)), (0, 1, 4), strict=True)]  # fmt: skip
    ranker = ItemRanker(tiny.text_encoder(), RankerConfig())
    arguments = {"dev": NO_DEV, "metrics": tmp_path / "m"}
    assert fit_chooser(ranker, alone, objective=PolicyGradient(likes_gold), config=FAST, **arguments).queries == 1
    with pytest.raises(ConfigError, match="no training query has two items"):
        fit_chooser(ranker, alone[:2], objective=PolicyGradient(likes_gold), config=FAST, **arguments)


@pytest.mark.parametrize("score", ["likelihood", "metric"])
@pytest.mark.parametrize("method", ["ropg-kd", "ropg-rl", "rspg-pre"])
def test_the_language_model_does_not_move_by_a_bit(method, score, family, models, tmp_path):
    backbone = load_backbone(BackboneConfig(models[family]))
    before = {name: weight.clone() for name, weight in backbone.model.state_dict().items()}
    run = RetrievalConfig(
        method=method, fitting=replace(FAST, epochs=1.0), scoring=ScoringConfig(score=score, max_new_tokens=4)
    )
    listener = Listener(backbone, run, TASK, folder=tmp_path, max_input_tokens=64)
    is_rspg = method == "rspg-pre"
    chooser = PromptSelector(tiny.text_encoder(), 4) if is_rspg else ItemRanker(tiny.text_encoder(), RankerConfig())
    train_chooser(chooser, item_choices(range(8)), listener=listener, run=run, dev=item_choices([9]), folder=tmp_path)
    assert all((before[name] == weight).all() for name, weight in backbone.model.state_dict().items())
    assert all(weight.grad is None for weight in backbone.model.parameters())


def test_a_likelihood_score_is_that_of_the_whole_answer(tmp_path):
    backbone = tiny.decoder_only()
    listener = Listener(backbone, RetrievalConfig(), TASK, folder=tmp_path, max_input_tokens=64)
    (choice,) = item_choices([1], kinds=("lead",))
    listener.score([choice])
    inputs = backbone.embed(choice.prompts)
    expected = -backbone.loss(inputs, ["y"]).item() * 2  # tokens, the end included
    assert option_scores([choice], listener.scores).item() == pytest.approx(expected, abs=1e-4)


def test_an_error_may_count_as_its_share_of_the_worst_that_the_right_answer_allows():
    """The released code of ROPG: (worst - error) / worst, worst being max(|gold - 1|, |gold - 5|)."""
    task = load_task("lamp-3")
    score = metric_score(lambda questions: [question.prompt for question in questions], task, relative_errors=True)
    asked = [("4", "4"), ("2", "4"), ("1", "4"), ("no number", "4"), ("5", "1"), ("3", "1"), ("5", "3"), ("2", "3")]
    wanted = [1, (3 - 2) / 3, 0, 0, 0, (4 - 2) / 4, 0, (2 - 1) / 2]
    assert score([ScoreRequest(*each) for each in asked]) == pytest.approx(wanted)
    same = metric_score(lambda questions: ["[1]" for _ in questions], load_task("lamp-1"), relative_errors=True)
    assert same([ScoreRequest("", "[1]"), ScoreRequest("", "[2]")]) == [1, 0]


@pytest.mark.parametrize(
    ("kind", "metric", "right", "wrong"),
    [("classification", "accuracy", 1, 0), ("classification", "macro-f1", 1, 0), ("rating", "mae", 0, -4)],
)
def test_more_of_a_metric_score_is_better(kind, metric, right, wrong):
    task = replace(TASK, kind=kind, metrics=(metric,), labels=tuple("12345"))
    score = metric_score(lambda questions: [question.prompt for question in questions], task)
    assert score([ScoreRequest("5", "5"), ScoreRequest("1", "5")]) == [right, wrong]


@pytest.mark.parametrize(("max_items", "count", "days"), [(9, 3, (8, 7, 6)), (2, 3, (8, 7))])
def test_candidates_are_the_untrained_retrievers_best_of_what_the_query_may_see(max_items, count, days):
    profile = Profile("ada", tuple(make_item(day, f"day {day}", "yes") for day in range(9)))
    choice = item_candidates(
        Example("1", profile, "all about tea", "no", NOW),
        task=replace(TASK, history=HistoryRules(max_items=max_items)),
        retriever=RecencyRetriever(),
        count=count,
        write=lambda example, items: f"{[item.id for item in items]} {example.input}",
    )
    options = tuple(f"day {day}\nyes" for day in days)
    assert choice == CandidateSet("tea", options, tuple(f"['{day}'] all about tea" for day in days), "no")


def test_a_retriever_learns_from_the_words_that_its_items_will_be_ranked_by():
    profile = Profile("ada", tuple(make_item(day, f"day {day}", "yes") for day in range(2)))
    task = replace(TASK, retrieval=Retrieval(text="on {input}", query="(all) about (.*)"))
    writing = {"retriever": RecencyRetriever(), "count": 2, "write": lambda *_: ""}
    choice = item_candidates(Example("1", profile, "all about tea", "no", NOW), task=task, **writing)
    assert (choice.query, choice.options) == ("all tea", ("on day 1", "on day 0"))


def test_an_empty_history_leaves_no_choice_and_is_no_error():
    empty = item_candidates(
        Example("1", Profile("ada"), "all about tea", "no", NOW),
        task=TASK, retriever=RecencyRetriever(), count=3, write=lambda *_: "",
    )  # fmt: skip
    assert (empty.options, empty.prompts) == ((), ())
    ranker = ItemRanker(tiny.text_encoder(), RankerConfig())
    logits = ranker.logits(["q", "q"], [(), ("one", "two")])
    assert logits[0].tolist() == [-torch.inf] * 2
    assert logits[1].isfinite().all()
