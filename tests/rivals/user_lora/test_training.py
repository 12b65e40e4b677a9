"""One adapter a user: what each is made of, and what it is not."""

import json
from contextlib import contextmanager
from dataclasses import asdict, replace

import pytest
import torch
from safetensors.torch import save_file

from personaplug.backbone.kept_inputs import KeptInputs
from personaplug.errors import ConfigError
from personaplug.plug.run_folder import method_of
from personaplug.records import Profile
from personaplug.rivals.user_lora import training as user_lora
from personaplug.rivals.user_lora.adapters import LoraConfig, UserAdapters
from personaplug.rivals.user_lora.run import PRESETS, AdaptationConfig, UserTrainingConfig
from personaplug.rivals.user_lora.run_folder import UserLoraFolder
from tests.factories import make_item
from tests.processes import kill_itself
from tests.rivals.user_lora.users import (
    ADAPTATION,
    COUNTS,
    TRAINING,
    adapt_run,
    ask,
    later,
    make_adapters,
    make_run,
    train,
    train_until,
)
from tests.world import TASK

KNOWN = [user for user, count in COUNTS.items() if count]


@pytest.fixture
def run(models, family, tmp_path):
    return make_run(tmp_path / "run", models[family])


@pytest.fixture
def small(models, tmp_path):
    """A run for what does not depend on the family."""
    return make_run(tmp_path / "run", models["decoder-only"])


def everyone():
    return [ask(user) for user in COUNTS]


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def watch(monkeypatch):
    """See what every user's training starts from and what the language model reads in it."""
    starts, read = [], []
    training, embed = UserAdapters.training, user_lora.fit

    @contextmanager
    def watched(self, start):
        with training(self, start) as weights:
            starts.append(self.weights())
            yield weights

    def fit(adapters, examples, *args, **options):
        read.append(examples)
        return embed(adapters, examples, *args, **options)

    monkeypatch.setattr(UserAdapters, "training", watched)
    monkeypatch.setattr(user_lora, "fit", fit)
    return starts, read


def test_each_user_starts_from_the_same_weights_and_ends_at_their_own(run, monkeypatch):
    starts, _ = watch(monkeypatch)
    adapters = make_adapters(run)
    train(run, everyone(), adapters)
    assert len(starts) == len(KNOWN)
    assert all(same(start, adapters.start) for start in starts)
    ends = [run.adapters.weights(user) for user in KNOWN]
    assert not any(same(end, adapters.start) for end in ends)
    assert not any(same(one, other) for one in ends for other in ends if one is not other)


def test_an_adapter_does_not_depend_on_who_was_trained_before(run, tmp_path):
    train(run, everyone())
    alone = replace(run, path=tmp_path / "alone")
    train(alone, [ask("cyd")])
    assert same(alone.adapters.weights("cyd"), run.adapters.weights("cyd"))


def test_two_users_of_one_history_have_one_adapter(run, monkeypatch):
    monkeypatch.setitem(COUNTS, "ada", COUNTS["ben"])
    train(run, [ask("ada", says="yes"), ask("ben", says="yes")])
    assert same(run.adapters.weights("ada"), run.adapters.weights("ben"))


def test_the_language_model_does_not_move_by_a_bit(run):
    adapters = make_adapters(run)
    fresh = make_adapters(run).backbone.model.state_dict()
    train(run, everyone(), adapters)
    held = adapters.backbone.model.state_dict()
    own = [name for name in fresh if "lora_" not in name]
    assert own
    assert all(torch.equal(held[name], fresh[name]) for name in own)


def test_training_teaches_the_users_own_answers(run):
    run = replace(run, config=replace(run.config, training=replace(TRAINING, epochs=20.0)))
    adapters = make_adapters(run)
    train(run, everyone(), adapters)
    known = {user: run.adapters.weights(user) for user in KNOWN}
    prompts = adapters.backbone.embed([TASK.prompt_text(ask("ben").input)])
    scores = {}
    for user in (None, *KNOWN):
        with torch.inference_mode(), adapters.answering([user], known):
            scores[user] = adapters.backbone.score(prompts, ["ben"]).log_likelihood.item()
    assert max(scores, key=scores.get) == "ben"


def test_nothing_that_a_first_query_may_not_see_is_read_or_matters(small, tmp_path, monkeypatch):
    _, read = watch(monkeypatch)
    first = ask("cyd", day=20)
    seen = len(first.profile.items)
    future = (make_item(30, "the future", "secret"), make_item(40, "the future", "secret"))
    after = replace(later(first, 40), profile=Profile("cyd", first.profile.items + future))
    records = train(small, [after, first])
    assert not any("future" in prompt for examples in read for prompt in examples.prompts)
    assert not any("secret" in target for examples in read for target in examples.targets)
    assert (records[0].items, records[0].latest) == (seen, first.profile.items[-1].time)
    alone = replace(small, path=tmp_path / "alone")
    train(alone, [first])
    assert same(alone.adapters.weights("cyd"), small.adapters.weights("cyd"))


def test_a_user_without_history_has_a_record_and_no_adapter(small):
    (record,) = train(small, [ask("nobody")])
    assert (record.items, record.steps, record.latest) == (0, 0, None)
    assert small.adapters.record("nobody") == record


def test_what_a_user_costs_is_measured(small):
    for record in train(small, everyone()):
        assert (record.seconds > 0) == (record.bytes > 0) == (record.steps > 0) == (record.user_id != "nobody")
        on_disk = [p for p in small.adapters.folder_of(record.user_id).iterdir() if p.name != "record.json"]
        assert record.bytes == sum(path.stat().st_size for path in on_disk)
        assert record.steps == 2 * -(-COUNTS[record.user_id] // 4)


def test_a_user_whose_adapter_is_there_is_not_trained_again(small, monkeypatch):
    first = train(small, everyone())
    starts, _ = watch(monkeypatch)
    assert train(small, everyone()) == first
    assert starts == []


@pytest.mark.parametrize("change", ["history", "settings", "rank of items"])
def test_a_user_whose_adapter_is_of_something_else_is_trained_again(small, change, monkeypatch):
    train(small, everyone())
    starts, _ = watch(monkeypatch)
    asked, options = everyone(), {}
    if change == "history":
        asked[0] = ask("ada", says="changed")
    elif change == "settings":
        training = replace(TRAINING, learning_rate=1e-3)
        small = replace(small, config=replace(small.config, training=training))
    else:
        options["write"] = lambda examples: [f"{len(each.profile.items)} {each.input}" for each in examples]
    train(small, asked, **options)
    assert len(starts) == (1 if change == "history" else len(KNOWN))


def test_a_run_keeps_what_its_users_start_from(small, tmp_path):
    train(small, [ask("ada")])
    other_seed = replace(small, config=replace(small.config, training=replace(TRAINING, seed=7)))
    kept = small.start(make_adapters(other_seed))
    assert same(kept, make_adapters(small).start)
    elsewhere = replace(other_seed, path=tmp_path / "elsewhere")
    elsewhere.path.mkdir()
    assert not same(elsewhere.start(make_adapters(other_seed)), kept)


def adapted_to(small, adapters, **changes):
    run = replace(small, config=replace(small.config, adaptation=replace(ADAPTATION, **changes)))
    adapt_run(run, everyone(), adapters)
    return run


def test_users_start_from_what_was_adapted_to_the_task(small, monkeypatch):
    adapters = make_adapters(small)
    small = adapted_to(small, adapters)
    starts, _ = watch(monkeypatch)
    train(small, everyone(), adapters)
    assert len(starts) == len(KNOWN)
    assert all(same(start, small.start(adapters)) for start in starts)
    assert not same(small.start(adapters), adapters.start)
    assert small.adaptation_seconds > 0


def test_adapting_to_the_task_teaches_everybodys_answers(small):
    adapters = make_adapters(small)
    small = adapted_to(small, adapters, epochs=20.0)
    inputs = adapters.backbone.embed([TASK.prompt_text(each.input) for each in everyone()])
    weights = {"": adapters.start, "adapted": small.start(adapters)}
    known = {}
    for name in weights:
        with torch.inference_mode(), adapters.answering([name] * len(COUNTS), weights):
            known[name] = adapters.backbone.score(inputs, list(COUNTS)).log_likelihood
    assert (known["adapted"] > known[""] + 1).all()


def test_the_same_queries_and_seed_adapt_alike_and_the_users_of_another_start_are_trained_again(
    small, tmp_path, monkeypatch
):
    train(small, everyone())
    adapters = make_adapters(small)
    once, again = (adapted_to(replace(small, path=tmp_path / name), adapters) for name in ("once", "again"))
    assert same(once.start(adapters), again.start(adapters))
    (small.path / "adapters").rename(once.path / "adapters")
    starts, _ = watch(monkeypatch)
    train(once, everyone(), adapters)
    assert len(starts) == len(KNOWN)


def test_a_run_takes_the_start_of_another_once_and_never_in_place_of_its_own(small, tmp_path):
    adapters = make_adapters(small)
    first = adapted_to(small, adapters)
    second = replace(first, path=tmp_path / "second")
    second.take_start(tmp_path / "nowhere")
    assert not second.has_start
    second.take_start(first.path)
    assert same(second.start(adapters), first.start(adapters))
    assert second.adaptation_seconds == first.adaptation_seconds
    before = first.start(adapters)
    (tmp_path / "third").mkdir()
    other = replace(first, path=tmp_path / "third")
    other.keep_start(adapters.start)
    first.take_start(other.path)
    assert same(first.start(adapters), before)


@pytest.mark.parametrize("changes", [{"epochs": 0.0}, {"epochs": 9.0}, {"learning_rate": 0.5}, {"queries": 2}])
def test_a_start_that_was_adapted_otherwise_is_not_gone_on_with(small, changes):
    adapters = make_adapters(small)
    run = adapted_to(small, adapters)
    other = replace(run, config=replace(run.config, adaptation=replace(ADAPTATION, **changes)))
    with pytest.raises(ConfigError, match="adapted to the task with other settings") as caught:
        train(other, everyone(), adapters)
    assert "--out" in caught.value.hint


def test_a_run_of_another_size_is_not_gone_on_with(small):
    train(small, [ask("ada")])
    wider = replace(small, config=replace(small.config, adapter=LoraConfig(rank=3)))
    with pytest.raises(ConfigError, match="does not fit") as caught:
        train(wider, [ask("ada")])
    assert "--out" in caught.value.hint


def test_a_killed_run_goes_on_with_the_users_who_are_missing(small, models, tmp_path, monkeypatch):
    kill_itself(train_until, "ben", models["decoder-only"], small.path)
    assert small.adapters.record("ada") is not None
    assert small.adapters.record("ben") is None
    assert len(list(small.adapters.path.iterdir())) == 2  # ada's, and what is unfinished of ben's
    starts, _ = watch(monkeypatch)
    train(small, everyone())
    assert len(starts) == len(KNOWN) - 1
    assert len(list(small.adapters.path.iterdir())) == len(COUNTS)
    whole = replace(small, path=tmp_path / "whole")
    train(whole, everyone())
    assert all(same(whole.adapters.weights(user), small.adapters.weights(user)) for user in KNOWN)


def test_a_run_is_read_as_it_was_written(small):
    small.save()
    assert UserLoraFolder.open(small.path) == small
    assert method_of(small.path) == "user-lora"


@pytest.mark.parametrize(
    "values", [{"batch_size": 0}, {"max_items": -1}, {"max_output_tokens": 1}, {"epochs": 0.0}, {"learning_rate": 0.0}]
)
def test_impossible_settings_are_refused(values):
    with pytest.raises(ValueError, match="must be"):
        UserTrainingConfig(**values)


@pytest.mark.parametrize("values", [{"epochs": -1.0}, {"queries": -1}, {"batch_size": 0}, {"learning_rate": 0.0}])
def test_impossible_settings_of_the_adaptation_are_refused(values):
    with pytest.raises(ValueError, match="must be"):
        AdaptationConfig(**values)


def test_all_of_a_history_is_learnt_where_no_number_of_items_is_set(small):
    everything = replace(small, config=replace(small.config, training=replace(TRAINING, max_items=0)))
    assert [record.items for record in train(everything, [ask("cyd")])] == [COUNTS["cyd"]]


def test_what_was_learnt_of_the_task_may_stay_under_adapters_that_start_untrained(small, tmp_path, monkeypatch):
    over = replace(small, config=replace(small.config, adaptation=replace(ADAPTATION, use="base")))
    adapters = make_adapters(over)
    adapt_run(over, everyone(), adapters)
    starts, _ = watch(monkeypatch)
    train(over, everyone(), adapters)
    assert all(same(start, adapters.start) for start in starts)
    assert adapters.has_task
    assert any(tensor.any() for name, tensor in over.base.items() if "lora_B" in name)
    again = replace(over, path=tmp_path / "again")
    again.take_start(over.path)
    train(again, everyone())
    assert all(same(again.adapters.weights(user), over.adapters.weights(user)) for user in KNOWN)
    plain = replace(small, path=tmp_path / "plain")
    train(plain, everyone())
    assert not any(same(plain.adapters.weights(user), over.adapters.weights(user)) for user in KNOWN)


def test_a_start_that_was_adapted_before_there_was_another_use_of_it_is_taken_as_it_is(small):
    adapted = replace(small, config=replace(small.config, adaptation=ADAPTATION))
    adapters = make_adapters(adapted)
    adapt_run(adapted, everyone(), adapters)
    start, path = adapted.start(adapters), adapted.path / "start.safetensors"
    settings = {name: value for name, value in asdict(ADAPTATION).items() if name != "use"}
    save_file(dict(start), path, metadata={"seconds": "1.0", "adaptation": json.dumps([settings, TRAINING.seed])})
    assert same(adapted.start(adapters), start)
    other = replace(adapted, config=replace(adapted.config, adaptation=replace(ADAPTATION, use="base")))
    with pytest.raises(ConfigError, match="adapted to the task with other settings"):
        other.start(adapters)


@pytest.fixture
def of_answers(small):
    return replace(small, config=replace(small.config, adapter=LoraConfig(rank=2, reads="answer")))


def test_inputs_that_are_read_once_make_the_adapters_of_inputs_read_at_each_draw(of_answers, tmp_path, monkeypatch):
    train(of_answers, everyone())
    anew = replace(of_answers, path=tmp_path / "anew")
    monkeypatch.setattr(user_lora, "_KEPT", 0)
    train(anew, everyone())
    for user in KNOWN:
        once, each_time = of_answers.adapters.weights(user), anew.adapters.weights(user)
        assert all(torch.allclose(once[name], tensor, atol=1e-4) for name, tensor in each_time.items())


@pytest.mark.parametrize("reads", ["answer", "all"])
def test_inputs_are_read_again_in_the_second_epoch_only_where_they_go_through_the_adapter(small, reads, monkeypatch):
    run = replace(small, config=replace(small.config, adapter=LoraConfig(rank=2, reads=reads)))
    adapters, found = make_adapters(run), []
    monkeypatch.setattr(user_lora, "KeptInputs", lambda budget: found.append(KeptInputs(budget)) or found[-1])
    train(run, [ask("cyd")], adapters)
    assert [kept.found for kept in found] == [COUNTS["cyd"] * TRAINING.epochs if reads == "answer" else 0]
    assert adapters.backbone.kept is None


def test_one_that_reads_answers_teaches_the_users_own_too(of_answers):
    adapters = make_adapters(of_answers)
    run = replace(of_answers, config=replace(of_answers.config, training=replace(TRAINING, epochs=20.0)))
    train(run, everyone(), adapters)
    inputs = adapters.joined(adapters.backbone.embed([TASK.prompt_text(ask("ada").input)] * 2))
    known = {user: run.adapters.weights(user) for user in ("ada", "ben")}
    with torch.inference_mode(), adapters.answering(["ada", "ben"], known):
        own = adapters.backbone.score(inputs, ["ada", "ben"]).log_likelihood
        others = adapters.backbone.score(inputs, ["ben", "ada"]).log_likelihood
    assert (own > others + 1).all()


def test_a_run_goes_on_in_the_precision_in_which_it_was_begun(small):
    asked = replace(small, config=replace(small.config, training=replace(TRAINING, precision="auto")))
    assert asked.precision == "auto"
    asked.in_precision(torch.bfloat16).save()
    assert asked.precision == "bfloat16"
    assert UserLoraFolder.open(small.path).config.training.precision == "bfloat16"
    assert small.precision == "float32"


def test_a_run_of_before_there_was_a_word_for_it_reads_all_in_float32_and_a_new_one_answers(small):
    small.save()
    file = small.path / "config.toml"
    file.write_text(
        "".join(line for line in file.read_text().splitlines(True) if not line.startswith(("reads", "prec")))
    )
    config = UserLoraFolder.open(small.path).config
    assert (config.adapter.reads, config.training.precision) == ("all", "float32")
    new = PRESETS["default"]
    assert (new.adapter.reads, new.training.precision) == ("answer", "auto")
    assert (PRESETS["paper"].adapter.reads, PRESETS["paper"].training.precision) == ("all", "float32")
