"""The engine itself, without HTTP, on the models of the one server."""

import asyncio
from dataclasses import replace

import pytest

from personaplug.backbone.base import GenerationConfig
from personaplug.serving.engine.engine import DrainingError, Engine, EngineConfig, FullQueueError
from personaplug.serving.engine.local_backend import LocalBackend
from personaplug.serving.engine.metrics import Metrics
from personaplug.serving.engine.request import EngineRequest

SHORT = GenerationConfig(max_new_tokens=10)
DRAWN = GenerationConfig("sample", temperature=2.0, max_new_tokens=14, seed=5)
LONG = GenerationConfig(max_new_tokens=200)
UNREADABLE = EngineRequest("llama", "\ud800", "ada", SHORT)

MIXED = [
    EngineRequest("llama", "about x", "ada", SHORT),
    EngineRequest("again", "a longer question about y, in the same words", "dee", DRAWN),
    EngineRequest("llama", "", None, replace(SHORT, max_new_tokens=3)),
    EngineRequest("again", "about x", "ada", SHORT, with_persona=False),
    EngineRequest("t5", "about x", "cyd", SHORT),
    EngineRequest("adapted", "about x", "ada", SHORT),
    EngineRequest("adapted", "about x", "ada", SHORT, with_persona=False),
    EngineRequest("tuned", "about x", "cyd", DRAWN),
    EngineRequest("t5", "about z", "stranger", DRAWN, is_streamed=True),
    EngineRequest("llama", "about x", "dee", SHORT, stops=("a",)),
]


@pytest.fixture
def serve(server):
    """Run something on an engine of its own, which drains at the end; give its metrics too."""

    def run(use, **config):
        async def within():
            metrics = Metrics()
            backend = LocalBackend(server.service._models, metrics=metrics)
            models = server.service.engine.models
            engine = Engine(backend, models, EngineConfig(**{"batch_seconds": 0.2, **config}), metrics=metrics)
            engine.start()
            try:
                return await use(engine), metrics
            finally:
                await engine.drain()

        return asyncio.run(within())

    return run


async def answers(engine, requests):
    replies = [engine.ask(request) for request in requests]
    return await asyncio.gather(*(reply.answer() for reply in replies), return_exceptions=True)


def batches(metrics):
    return int(metrics.registry.get_sample_value("personaplug_batch_rows_count"))


def test_every_answer_of_shared_batches_is_that_of_the_question_alone(serve):
    together, metrics = serve(lambda engine: answers(engine, MIXED))
    alone, singles = serve(lambda engine: answers(engine, MIXED), batch_rows=1, batch_seconds=0.0)
    assert together == alone
    assert len({answer.text for answer in together}) > 4
    assert batches(singles) == len(MIXED)
    assert batches(metrics) < len(MIXED)


def test_an_adapter_of_all_users_has_its_own_rows_of_a_shared_batch_alone(serve):
    asked = [
        EngineRequest(model, "about x", "ada", SHORT, with_persona=is_on)
        for model in ("llama", "adapted")
        for is_on in (True, False)
    ]
    (own, bare, adapted, off), metrics = serve(lambda engine: answers(engine, asked))
    assert batches(metrics) == 1
    assert bare.text == off.text
    assert len({own.text, bare.text, adapted.text}) == 3


def test_runs_of_one_language_model_share_batches(serve):
    _, metrics = serve(lambda engine: answers(engine, MIXED[:4]))
    assert batches(metrics) == 1


def test_questions_of_two_language_models_take_turns_batch_by_batch(serve):
    turns = [MIXED[0], MIXED[4]] * 4
    alternating, metrics = serve(lambda engine: answers(engine, turns))
    assert batches(metrics) == 2
    assert len(set(alternating)) == 2
    assert alternating == alternating[:2] * 4


@pytest.mark.parametrize("narrow", [{"temperature": 1e-40}, {"temperature": 1.0, "top_p": 1e-320}])
def test_the_narrowest_draw_is_the_likeliest_answer(serve, narrow):
    drawn = replace(MIXED[0], config=replace(DRAWN, **narrow))
    (answer, greedy), _ = serve(
        lambda engine: answers(engine, [drawn, replace(drawn, config=replace(SHORT, max_new_tokens=14))])
    )
    assert answer == greedy


def test_a_batch_keeps_to_its_tokens(serve, server):
    model = server.service.engine.models.by_name["llama"]
    request = MIXED[0]
    _, metrics = serve(lambda engine: answers(engine, [request] * 6), batch_tokens=2 * model.cost(request))
    assert batches(metrics) == 3


@pytest.mark.parametrize("tokens", [1, 10])
def test_a_question_larger_than_a_batch_is_answered_alone(serve, tokens):
    (answer, *_), metrics = serve(lambda engine: answers(engine, MIXED[:2]), batch_tokens=tokens)
    assert answer.text
    assert batches(metrics) == 2


def test_the_bound_on_a_questions_tokens_holds(serve, server):
    async def cost(engine):
        reply = engine.ask(request)
        return (await reply.opening()).prompt_tokens + (await reply.answer()).tokens

    for model in ("llama", "t5"):
        for text in ("", "🙂 雨の日", "a long text " * 20):
            request = EngineRequest(model, text, "dee", SHORT)
            used, _ = serve(cost, batch_seconds=0.0)
            assert used <= server.service.engine.models.by_name[model].cost(request)


def test_a_failing_question_harms_no_other(serve):
    mixed = [MIXED[0], UNREADABLE, MIXED[1], replace(MIXED[6], model="llama")]
    (first, failed, *others), metrics = serve(lambda engine: answers(engine, mixed))
    expected, _ = serve(lambda engine: answers(engine, [mixed[0], *mixed[2:]]))
    assert [first, *others] == expected
    assert isinstance(failed, Exception)
    assert metrics.registry.get_sample_value("personaplug_failures_total") == 1


def test_a_batch_that_fails_half_way_is_written_anew_and_nothing_is_heard_twice(serve, server, monkeypatch):
    model = server.ask_plug("llama", lambda plug: plug.backbone.model)
    forward, calls = model.forward, []

    def fail_once(*args, **kwargs):
        calls.append(1)
        if len(calls) == 8:
            raise RuntimeError("out of memory")
        return forward(*args, **kwargs)

    async def stream(engine):
        replies = [engine.ask(replace(request, is_streamed=True)) for request in MIXED[:2]]
        heard = ["".join([piece async for piece in reply.pieces()]) for reply in replies]
        return heard, [(await reply.answer()).text for reply in replies]

    expected, _ = serve(lambda engine: answers(engine, MIXED[:2]))
    monkeypatch.setattr(model, "forward", fail_once)
    (heard, whole), _ = serve(stream)
    assert len(calls) > 8
    assert heard == whole == [answer.text for answer in expected]


def test_a_failing_question_alone_fails_and_the_next_is_answered(serve):
    async def one_by_one(engine):
        return [*await answers(engine, [UNREADABLE]), *await answers(engine, MIXED[:1])]

    (failed, answer), _ = serve(one_by_one, batch_seconds=0.0)
    assert isinstance(failed, Exception)
    assert answer.text


def test_a_full_queue_says_when_to_ask_again_and_whoever_leaves_makes_room(serve):
    async def fill(engine):
        replies = [engine.ask(request) for request in MIXED[:2]]
        with pytest.raises(FullQueueError) as caught:
            engine.ask(MIXED[3])
        replies[0].cancel()
        late = engine.ask(MIXED[3])
        await asyncio.gather(replies[1].answer(), late.answer())
        return caught.value.seconds, replies[0].is_done

    (seconds, is_done), _ = serve(fill, queue=2)
    assert seconds >= 1
    assert is_done


def test_who_leaves_frees_the_slot_before_the_answers_end(serve):
    async def leave(engine):
        reply = engine.ask(EngineRequest("llama", "about x", "dee", LONG, is_streamed=True))
        await reply.opening()
        reply.cancel()
        (after,) = await answers(engine, MIXED[:1])
        return reply.writing, after

    (whole,), _ = serve(lambda engine: answers(engine, [EngineRequest("llama", "about x", "dee", LONG)]))
    (writing, after), _ = serve(leave, batch_seconds=0.0)
    assert whole.tokens > 50, "the answer must be long enough to be left"
    assert len(writing.tokens) < whole.tokens
    assert writing.ending is None
    assert after.text


def test_draining_answers_what_was_accepted_and_accepts_no_more(serve):
    async def drain(engine):
        replies = [engine.ask(request) for request in MIXED[:3]]
        assert engine.is_ready
        await engine.drain()
        assert not engine.is_ready
        with pytest.raises(DrainingError):
            engine.ask(MIXED[0])
        return [await reply.answer() for reply in replies]

    drained, _ = serve(drain)
    expected, _ = serve(lambda engine: answers(engine, MIXED[:3]))
    assert drained == expected


def test_a_stream_begins_before_its_batch_ends(serve):
    async def stream(engine):
        reply = engine.ask(EngineRequest("llama", "about x", "dee", LONG, is_streamed=True))
        pieces = reply.pieces()
        first, is_done = await anext(pieces), reply.is_done
        return "".join([first, *[piece async for piece in pieces]]), (await reply.answer()).text, is_done

    (heard, whole, was_done), _ = serve(stream)
    assert heard == whole
    assert not was_done


def test_what_is_counted_is_what_was_done(serve):
    done, metrics = serve(lambda engine: answers(engine, MIXED))
    value = metrics.registry.get_sample_value
    assert value("personaplug_tokens_total", {"kind": "answer"}) == sum(answer.tokens for answer in done)
    assert value("personaplug_answers_total", {"model": "llama", "persona": "own"}) == 2
    assert value("personaplug_answers_total", {"model": "again", "persona": "off"}) == 1
    assert value("personaplug_stage_seconds_count", {"stage": "wait"}) == len(MIXED)
    assert value("personaplug_queue") == 0


@pytest.mark.parametrize("wrong", [{"batch_rows": 0}, {"queue": 0}, {"batch_seconds": -1.0}])
def test_an_engine_that_could_not_work_is_refused(wrong):
    with pytest.raises(ValueError, match="at least"):
        EngineConfig(**wrong)
