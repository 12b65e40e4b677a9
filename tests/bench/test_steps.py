"""What a recipe asks for, step by step; nothing is done here."""

import pickle

import pytest

from personaplug.bench import measuring as work
from personaplug.bench import runner, training
from personaplug.bench.layout import TaskLayout
from personaplug.bench.recipe import Contender, Recipe, Source
from personaplug.bench.run_configs import run_of
from personaplug.bench.runner import StepRunner, count_steps
from personaplug.bench.steps import Step, first_steps, last_steps
from personaplug.method_kinds import METHOD_KINDS
from personaplug.plug.query_source import QuerySource
from personaplug.rivals.learned_retrieval.run import RetrievalConfig
from personaplug.tasks.task import load_task


def place_in(folder, *, sample=0):
    source = Source(task="log", sample=sample) if sample else Source(task="log", log="log.jsonl")
    return TaskLayout(source, load_task("log"), "log", folder / "log.jsonl", folder / "log")


def steps_of(method, folder, **words):
    """List a recipe's steps for one method without the task's name, those before a k is chosen and those after."""
    recipe = Recipe((Source(task="log", log="log.jsonl"),), (method,), k=(1, 2), seeds=(7,), **words)
    place, (contender,) = place_in(folder), recipe.contenders
    k = 2 if METHOD_KINDS[method].items else None
    first, last = first_steps(recipe, place, others=()), last_steps(recipe, place, contender=contender, k=k)
    assert count_steps(recipe, [place]) == len(first) + len(last)
    assert len({step.product for step in (*first, *last)}) == len(first) + len(last)
    return [[step.title.removeprefix("log: ") for step in each] for each in (first, last)]


@pytest.mark.parametrize("method", ["plug+bm25", "plug+dense", "rspg-pre"])
def test_what_is_trained_with_items_is_trained_and_measured_with_each_number_of_them(method, tmp_path):
    first, last = steps_of(method, tmp_path, strangers=False)
    assert first == [
        "index",
        *(f"train {method}, k={k}, seed 7" for k in (1, 2)),
        *(f"measure {method} on dev, k={k}, seed 7" for k in (1, 2)),
    ]
    assert last == [f"measure {method}, k=2, seed 7"]


def test_adapters_for_test_are_trained_once_k_is_chosen_by_adapters_for_dev(tmp_path):
    first, last = steps_of("user-lora+bm25", tmp_path, strangers=False)
    assert first == [
        *(f"train user-lora+bm25 for dev, k={k}, seed 7" for k in (1, 2)),
        *(f"measure user-lora+bm25 on dev, k={k}, seed 7" for k in (1, 2)),
    ]
    assert last == ["train user-lora+bm25, k=2, seed 7", "measure user-lora+bm25, k=2, seed 7"]


@pytest.mark.parametrize(("own", "tried"), [((), (1, 2)), ((2,), (2,))])
def test_a_variant_is_tried_with_the_recipes_numbers_of_items_or_with_its_own(own, tried, tmp_path):
    variant = Contender("plug+bm25", k=own)
    recipe = Recipe((Source(task="log", log="log.jsonl"),), ("bm25",), (variant,), k=(1, 2), strangers=False)
    titles = [step.title.removeprefix("log: ") for step in first_steps(recipe, place_in(tmp_path), others=())]
    assert titles == [
        "index",
        *(f"train plug+bm25, k={k}, seed 0" for k in tried),
        *(f"measure bm25 on dev, k={k}" for k in (1, 2)),
        *(f"measure plug+bm25 on dev, k={k}, seed 0" for k in tried),
    ]


def test_adapters_without_items_have_no_k(tmp_path):
    assert steps_of("user-lora", tmp_path, strangers=False) == [
        ["train user-lora, seed 7"],
        ["measure user-lora, seed 7"],
    ]


@pytest.mark.parametrize("method", ["user-lora", "user-lora+bm25"])
def test_strangers_have_adapters_of_their_own_which_start_from_the_same(method, tmp_path, monkeypatch):
    _, last = steps_of(method, tmp_path)
    with_k = ", k=2" if METHOD_KINDS[method].items else ""
    assert last[-2:] == [
        f"train {method} for strangers{with_k}, seed 7",
        f"measure {method} with strangers{with_k}, seed 7",
    ]
    recipe = Recipe((Source(task="log", log="log.jsonl"),), (method,), k=(2,))
    place, (contender,) = place_in(tmp_path), recipe.contenders
    k, fitted = 2 if METHOD_KINDS[method].items else None, []
    monkeypatch.setattr(training, "fit_users", lambda run, *_, out, like, **__: fitted.append((run.history, out, like)))
    monkeypatch.setattr(training, "plain", lambda _: {})
    training.train_contender(recipe, place, contender=contender, seed=7, k=k, on="stranger")
    own = place.run(contender, 7, k=k)
    assert fitted == [("stranger", own.with_name(f"{own.name}-stranger"), own)]


def test_descriptions_are_written_in_a_step_of_their_own(tmp_path):
    first, last = steps_of("text-profile", tmp_path)
    assert first == ["describe users for text-profile"]
    assert last == ["measure text-profile", "measure text-profile with strangers"]


@pytest.mark.parametrize("method", ["bm25", "ropg-kd", "user-lora+bm25"])
def test_nothing_is_measured_twice_where_k_is_chosen_by_the_measured_queries(method, tmp_path):
    words = {"split": "dev", "dev_queries": 30, "strangers": False}
    assert steps_of(method, tmp_path, test_queries=30, **words)[1] == []
    assert f"measure {method}, k=2" in ", ".join(steps_of(method, tmp_path, test_queries=20, **words)[1])


@pytest.mark.parametrize(
    ("split", "name", "source"),
    [
        ("test", "test", QuerySource.ENCODER),
        ("test", "stranger", QuerySource.ENCODER),
        ("test", "dev", QuerySource.STORE),
        ("dev", "dev", QuerySource.ENCODER),
    ],
)
def test_queries_are_looked_up_only_where_no_report_has_the_seconds(split, name, source, tmp_path, monkeypatch):
    recipe = Recipe((Source(task="log", log="log.jsonl"),), ("dense",), split=split, dev_queries=9, test_queries=9)
    asked = []
    monkeypatch.setattr(work, "evaluate", lambda *_, method, **__: asked.append(method.query_source))
    work.measure_contender(recipe, place_in(tmp_path), contender=recipe.contenders[0], name=name, seed=None, k=2)
    assert asked == [source]


@pytest.mark.parametrize(
    ("method", "number"),
    [
        ("plug+bm25", lambda run: run.items.k),
        ("user-lora+recency", lambda run: run.items.k),
        ("rspg-post", lambda run: run.selection.k),
    ],
)
def test_a_run_has_the_number_of_items_that_its_step_is_named_by(method, number, tmp_path):
    recipe = Recipe((Source(task="log", log="log.jsonl"),), (method,))
    assert [number(run_of(recipe, place_in(tmp_path), contender=recipe.contenders[0], k=k)) for k in (1, 3)] == [1, 3]


def test_adapters_start_from_what_learnt_of_the_queries_that_the_plug_learns_from(tmp_path):
    recipe = Recipe(
        (Source(task="log", log="log.jsonl"),),
        ("plug", "user-lora", "user-lora+bm25"),
        train_queries=70,
        settings=("training.epochs=3", "training.batch_size=4"),
    )
    plug, *adapted = (run_of(recipe, place_in(tmp_path), contender=each, seed=7, k=1) for each in recipe.contenders)
    same = (plug.training.queries, plug.training.epochs, plug.training.batch_size, plug.training.seed)
    for run in adapted:
        first = run.adaptation
        assert (first.queries, first.epochs, first.batch_size, run.training.seed) == same == (70, 3.0, 4, 7)


def test_items_are_as_long_for_whoever_shows_any(tmp_path):
    methods = ("bm25", "text-profile", "plug+dense", "tuned-prompt+bm25", "user-lora+bm25", "ropg-kd", "rspg-post")
    recipe = Recipe((Source(task="log", log="log.jsonl"),), methods, settings=("items.item_tokens=9",))
    runs = [run_of(recipe, place_in(tmp_path), contender=each, k=1) for each in recipe.contenders]
    lengths = [run.scoring.item_tokens if isinstance(run, RetrievalConfig) else run.items.item_tokens for run in runs]
    assert lengths == [9] * len(methods)


def test_every_step_can_be_handed_to_another_process(tmp_path):
    recipe = Recipe((Source(task="log", sample=5),), tuple(METHOD_KINDS))
    place = place_in(tmp_path, sample=5)
    steps = first_steps(recipe, place, others=())
    steps += [step for each in recipe.contenders for step in last_steps(recipe, place, contender=each, k=2)]
    assert all(pickle.loads(pickle.dumps(step.work)).keywords == step.work.keywords for step in steps)
    assert len({step.work.func for step in steps}) == 5  # log, index, train, describe, measure


def test_steps_that_are_stopped_after_any_of_them_go_on_from_there(tmp_path, monkeypatch):
    steps = [Step(name, tmp_path / name, (tmp_path / name).touch) for name in "abc"]
    told = []

    def do_and_stop(work):
        work()
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run_isolated", do_and_stop)
    for _ in steps:
        with pytest.raises(KeyboardInterrupt):
            StepRunner(3, told.append).go(steps)
    StepRunner(3, told.append).go(steps)
    assert told == ["[1/3] a", "[2/3] b", "[3/3] c"]


def test_a_seed_that_is_added_is_all_that_is_left_to_do(tmp_path):
    def steps(*seeds):
        recipe = Recipe((Source(task="log", log="log.jsonl"),), ("plain", "tuned-prompt", "bm25"), seeds=seeds, k=(1,))
        place = place_in(tmp_path)
        last = [
            last_steps(recipe, place, contender=each, k=1 if each.method == "bm25" else None)
            for each in recipe.contenders
        ]
        return [*first_steps(recipe, place, others=()), *(step for each in last for step in each)]

    for step in steps(0):
        step.product.parent.mkdir(parents=True, exist_ok=True)
        step.product.touch()
    left = [step.title for step in steps(0, 7) if not step.is_done]
    assert left == ["log: train tuned-prompt, seed 7", "log: measure tuned-prompt, seed 7"]


def test_a_variant_has_the_folder_of_its_label(tmp_path):
    place = place_in(tmp_path)
    assert place.of(Contender("plug", "no time")).name == "no-time"
