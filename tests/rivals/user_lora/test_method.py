"""Every user's own adapter answers, in batches of many users."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from personaplug.backbone.base import GenerationConfig
from personaplug.errors import ConfigError
from personaplug.evaluation.harness import LikelihoodMethod
from personaplug.methods.input_prompt import InputPrompt
from personaplug.methods.prompted import Prompted
from personaplug.plug.retrieval_prompt import RetrievalPrompt
from personaplug.records import Profile
from personaplug.retrieval.recency import RecencyRetriever
from personaplug.rivals.user_lora.method import UserLora
from personaplug.tasks.task import HistoryRules
from tests.factories import START
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
)
from tests.world import TASK

PLAIN = InputPrompt(TASK, str, 256)
SHORT = GenerationConfig(max_new_tokens=8)
BEAMS = GenerationConfig("beam", beams=3, max_new_tokens=8)


@pytest.fixture(scope="module")
def run(models, family, tmp_path_factory):
    training = replace(TRAINING, epochs=15.0, learning_rate=0.1)  # so much that the users' answers differ
    run = make_run(tmp_path_factory.mktemp("runs") / "run", models[family], training=training)
    train(run, [ask(user) for user in COUNTS])
    return run


@pytest.fixture
def method(run):
    return open_method(run)


def open_method(run, *, generation=SHORT, k=0):
    adapters = make_adapters(run)
    items = RetrievalPrompt(TASK, RecencyRetriever(), k, 40, adapters.backbone.count_tokens, str, 256)
    return UserLora(prompted(adapters, generation=generation, writer=items if k else PLAIN), adapters, run)


def prompted(adapters, *, generation=SHORT, writer=PLAIN):
    return Prompted("user-lora", adapters.backbone, writer=writer, generation=generation)


def mixed():
    """Questions of all users in turn, so that no user's stand together."""
    return [ask(user, number=number) for number in range(2) for user in COUNTS]


@pytest.mark.parametrize("generation", [SHORT, BEAMS], ids=["greedy", "beam"])
@pytest.mark.parametrize("k", [0, 2])
def test_a_mixed_batch_is_answered_as_one_by_one(run, generation, k):
    method = open_method(run, generation=generation, k=k)
    together = method.respond(mixed())
    assert together == [answer for example in mixed() for answer in method.respond([example])]


def test_who_has_no_history_is_answered_by_what_all_start_from(run, tmp_path):
    config = replace(run.config, adaptation=replace(ADAPTATION, epochs=15.0, learning_rate=0.1))
    adapted = replace(run, path=tmp_path / "adapted", config=config)
    adapters = make_adapters(adapted)
    adapt_run(adapted, [ask("cyd")], adapters)
    train(adapted, [ask(user) for user in COUNTS], adapters)
    unknown, method = ask("nobody"), open_method(adapted)
    with adapters.answering(["everybody"], {"everybody": adapted.start(adapters)}):
        expected = prompted(adapters).log_likelihood([unknown])
    assert method.log_likelihood([unknown, ask("cyd")])[:1] == pytest.approx(expected, abs=1e-4)
    assert open_method(run).log_likelihood([unknown]) != pytest.approx(expected, abs=0.1)


def test_a_mixed_batch_is_as_likely_as_one_by_one(method):
    assert isinstance(method, LikelihoodMethod)
    alone = [float(method.log_likelihood([example])[0]) for example in mixed()]
    np.testing.assert_allclose(method.log_likelihood(mixed()), alone, atol=1e-3)


def test_an_adapter_makes_the_users_own_answer_likelier_than_another_users(method):
    own = method.log_likelihood([ask("ben")])
    anothers = replace(ask("ben"), profile=replace(ask("cyd").profile))
    assert own > method.log_likelihood([anothers])


def test_users_without_history_get_the_bare_model(method, run):
    bare = prompted(make_adapters(run))
    unheard_of = replace(ask("ada"), profile=Profile("unheard of"))
    for example in (ask("nobody"), unheard_of):
        asked = [ask("ada"), example, ask("ben")]
        assert method.respond(asked)[1] == bare.respond([example])[0]
        np.testing.assert_allclose(method.log_likelihood(asked)[1], bare.log_likelihood([example])[0], atol=1e-3)
    assert method.log_likelihood([ask("ada")]) != bare.log_likelihood([ask("ada")])


def test_a_later_query_is_answered_by_the_adapter_of_the_first(method):
    with_more = later(ask("ada"), 9)
    assert method.respond([with_more]) == method.respond([ask("ada")])


@pytest.mark.parametrize("days", [-1, 0, 1])
def test_an_adapter_that_has_seen_what_is_not_earlier_is_refused(method, days):
    latest = ask("cyd").profile.items[-1].time
    asked = replace(ask("cyd"), time=latest + timedelta(days=days))
    if days > 0:
        assert len(method.respond([asked])) == 1
        return
    with pytest.raises(ConfigError, match=r"the adapter of user 'cyd' has seen 2020-01-09.*too late for query 'cyd-0'"):
        method.respond([asked])


def test_what_is_in_the_embargo_is_too_late(method, run):
    embargoed = replace(TASK, history=HistoryRules(embargo_days=3))
    strict = replace(method, run=replace(run, task=embargoed))
    with pytest.raises(ConfigError, match="too late"):
        strict.respond([replace(ask("cyd"), time=START + timedelta(days=11))])
    assert strict.respond([replace(ask("cyd"), time=START + timedelta(days=12))])


def test_a_user_whose_adapter_is_missing_is_named(method):
    stranger = replace(ask("ada"), profile=Profile("eve", ask("ada").profile.items))
    with pytest.raises(ConfigError, match="no adapter of user 'eve'") as caught:
        method.respond([stranger])
    assert "--split" in caught.value.hint


def test_the_tokens_of_an_answer_are_counted_as_for_every_method(method):
    assert method.answer_tokens(mixed()).tolist() == method.prompted.answer_tokens(mixed()).tolist()


def test_save_then_load_changes_nothing(method, run):
    assert open_method(run).respond(mixed()) == method.respond(mixed())
    assert (open_method(run).log_likelihood(mixed()) == method.log_likelihood(mixed())).all()
