"""OpenAI's own client against the server, on every route that it knows."""

from dataclasses import replace
from typing import get_type_hints

import httpx2
import openai
import pytest
from openai.types import completion_create_params
from openai.types.chat.completion_create_params import CompletionCreateParamsNonStreaming

from personaplug.backbone.base import GenerationConfig
from tests.serving.running import LIMITS, RUNS

QUESTION = "your own view about x"
SHORT = GenerationConfig(max_new_tokens=12)


def chat(client, user="dee", *, model="llama", **more):
    asked = {"max_tokens": 12, "messages": [{"role": "user", "content": QUESTION}], **more}
    return client.chat.completions.create(model=model, user=user, **asked)


def text_of(completion):
    return completion.choices[0].message.content


@pytest.mark.parametrize("model", RUNS)
@pytest.mark.parametrize("user", ["dee", "ada", "nobody"])
def test_a_chat_is_answered_as_the_plug_answers(server, client, model, user):
    answer = server.ask_plug(model, lambda plug: plug.generate(QUESTION, user=user, config=SHORT))
    completion = chat(client, user, model=model)
    assert text_of(completion) == answer
    assert (completion.model, completion.object, completion.choices[0].message.role) == (
        model,
        "chat.completion",
        "assistant",
    )


def test_users_get_different_answers(client):
    assert len({text_of(chat(client, user)) for user in ("ada", "ben", "cyd", "dee")}) > 1


@pytest.mark.parametrize("model", ["llama", "t5"])
@pytest.mark.parametrize("more", [{}, {"temperature": 1.5, "seed": 7}, {"extra_body": {"persona": "off"}}])
def test_streamed_pieces_join_to_the_answer(client, model, more):
    pieces = list(chat(client, model=model, stream=True, **more))
    whole = chat(client, model=model, **more)
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == text_of(whole)
    assert pieces[0].choices[0].delta.role == "assistant"
    assert [piece.choices[0].finish_reason for piece in pieces] == [None] * (len(pieces) - 1) + [
        whole.choices[0].finish_reason
    ]
    assert len({piece.id for piece in pieces}) == 1


def test_a_stream_ends_with_what_was_used_where_that_is_asked_for(client):
    *_, last = chat(client, stream=True, stream_options={"include_usage": True})
    assert last.choices == []
    assert last.usage == chat(client).usage


def test_of_prompts_that_the_queue_has_no_room_for_none_is_answered(client, server, monkeypatch):
    engine, written = server.service.engine, []
    write = engine.backend.write

    async def spy(replies):
        written.extend(reply.request.user for reply in replies)
        await write(replies)

    monkeypatch.setattr(engine, "config", replace(engine.config, queue=2))
    monkeypatch.setattr(engine.backend, "write", spy)
    with pytest.raises(openai.RateLimitError):
        client.completions.create(model="llama", prompt=["about x"] * 9, user="too much", max_tokens=4)
    chat(client, "after")
    assert written == ["after"]


def test_what_was_used_is_the_tokens_read_and_written(server, client):
    used = chat(client, "ada").usage
    backbone, vectors = server.ask_plug("llama", lambda plug: (plug.backbone, plug.run.embedder.vectors))
    assert used.prompt_tokens == backbone.count_tokens(f"Say: {QUESTION}") + vectors
    assert 0 < used.completion_tokens <= 12
    assert used.total_tokens == used.prompt_tokens + used.completion_tokens


@pytest.mark.parametrize(
    ("user", "more", "persona"),
    [
        ("dee", {}, "own"),
        ("stranger", {}, "generic"),
        (openai.omit, {}, "generic"),
        ("dee", {"extra_body": {"persona": "off"}}, "off"),
        ("dee", {"model": "tuned"}, "generic"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_a_header_says_in_whose_way_the_answer_is(client, user, more, persona, stream):
    asked = {"model": "llama", **more}
    response = client.chat.completions.with_raw_response.create(
        messages=[{"role": "user", "content": QUESTION}], user=user, stream=stream, max_tokens=4, **asked
    )
    assert response.headers["X-Personaplug-Persona"] == persona


def test_without_persona_the_bare_language_model_answers(server, client):
    bare = server.ask_plug("llama", lambda plug: plug.generate(QUESTION, user="dee", config=SHORT, with_persona=False))
    assert text_of(chat(client, extra_body={"persona": "off"})) == bare
    assert bare != text_of(chat(client))


def test_nobody_and_the_unknown_get_the_generic_persona(client):
    assert text_of(chat(client, "stranger")) == text_of(chat(client, openai.omit)) != text_of(chat(client, "dee"))


def test_texts_are_completed_each_at_its_place(client, server):
    texts = ["a view about x", "another about y", ""]
    done = client.completions.create(model="llama", prompt=texts, user="cyd", max_tokens=12)
    alone = [
        server.ask_plug("llama", lambda plug, text=text: plug.generate(text, user="cyd", config=SHORT))
        for text in texts
    ]
    assert [choice.text for choice in done.choices] == alone
    assert [choice.index for choice in done.choices] == [0, 1, 2]
    assert done.object == "text_completion"


def test_streamed_texts_join_to_their_answers(client):
    asked = {"model": "llama", "prompt": ["a view about x", "another"], "user": "cyd", "max_tokens": 12}
    joined = ["", ""]
    for piece in client.completions.create(stream=True, **asked):
        joined[piece.choices[0].index] += piece.choices[0].text
    assert joined == [choice.text for choice in client.completions.create(**asked).choices]


def test_a_stop_ends_the_answer(client):
    whole = text_of(chat(client))
    stopped = chat(client, stop=[whole[3:5]])
    assert text_of(stopped) == whole[: whole.index(whole[3:5])].strip()
    assert stopped.choices[0].finish_reason == "stop"


def test_the_turns_of_a_chat_are_read_as_one_text(client, server):
    turns = [{"role": "system", "content": "be brief"}, {"role": "user", "content": [{"type": "text", "text": "so"}]}]
    answer = server.ask_plug("llama", lambda plug: plug.generate("be brief\n\nso", user="ada", config=SHORT))
    assert text_of(chat(client, "ada", messages=turns)) == answer


def test_the_runs_are_listed_as_models(client):
    assert [model.id for model in client.models.list()] == list(RUNS)
    assert client.models.retrieve("t5").id == "t5"


@pytest.mark.parametrize(
    ("more", "kind", "param"),
    [
        ({"model": "gpt"}, openai.NotFoundError, "model"),
        ({"messages": []}, openai.BadRequestError, "messages"),
        ({"max_tokens": 0}, openai.BadRequestError, "max_tokens"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, openai.BadRequestError, "tools"),
        ({"response_format": {"type": "json_object"}}, openai.BadRequestError, "response_format"),
        ({"logit_bias": {"50256": -100}}, openai.BadRequestError, "logit_bias"),
        ({"logprobs": True}, openai.BadRequestError, "logprobs"),
        ({"extra_body": {"web_search_options": {}}}, openai.BadRequestError, "web_search_options"),
        ({"temperature": 3}, openai.BadRequestError, "temperature"),
        ({"n": 2}, openai.BadRequestError, "n"),
        ({"stop": ["x"] * 5}, openai.BadRequestError, "stop"),
        ({"user": "tab\there"}, openai.BadRequestError, "user"),
        ({"extra_body": {"prompt_embeds": "gASVAAAA"}}, openai.BadRequestError, "prompt_embeds"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_what_cannot_be_answered_is_an_error_of_the_client(client, more, kind, param, stream):
    with pytest.raises(kind) as caught:
        chat(client, **{"stream": stream, **more})
    assert caught.value.type == "invalid_request_error"
    assert param is None or caught.value.param == param


def test_the_client_reaches_every_route_that_is_described(client, server):
    item = {"id": "1", "time": "2024-05-01T12:30:00Z", "input": "x", "output": "y"}
    calls = [
        ("post", "/v1/chat/completions", {"model": "llama", "messages": [{"role": "user", "content": "x"}]}),
        ("post", "/v1/completions", {"model": "llama", "prompt": "x", "max_tokens": 2}),
        ("get", "/v1/models", None),
        ("get", "/v1/models/{model}", None),
        ("post", "/v1/personas/{user}/history", {"items": [item]}),
        ("get", "/v1/personas/{user}", None),
        ("post", "/v1/personas/{user}/explain", {"model": "llama", "input": "x"}),
        ("get", "/v1/personas/{user}/export", None),
        ("delete", "/v1/personas/{user}", None),
        ("get", "/healthz", None),
        ("get", "/readyz", None),
        ("get", "/metrics", None),
    ]
    described = client.get(f"{server.url}/openapi.json", cast_to=object)["paths"]
    assert {(verb, path) for path, verbs in described.items() for verb in verbs} == {call[:2] for call in calls}
    for verb, path, body in calls:
        url = server.url + path.format(model="llama", user="by-client")
        assert getattr(client, verb)(url, cast_to=httpx2.Response, **({"body": body} if body else {})).is_success


def test_a_wrong_key_is_an_authentication_error(server):
    with pytest.raises(openai.AuthenticationError) as caught:
        chat(openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0))
    assert caught.value.code == "invalid_api_key"


def test_a_route_that_is_none_is_a_not_found_error(client):
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="llama", input="x")


CHAT_FIELDS = get_type_hints(CompletionCreateParamsNonStreaming).keys() - {"model", "messages"}
TEXT_FIELDS = get_type_hints(completion_create_params.CompletionCreateParamsNonStreaming).keys() - {"model", "prompt"}


@pytest.fixture(scope="module")
def plain(client):
    """The answers to a chat and to a text without any of the optional fields."""
    return text_of(chat(client)), client.completions.create(model="llama", prompt="x", max_tokens=12).choices[0].text


@pytest.mark.parametrize("field", sorted(CHAT_FIELDS | {"a_field_to_come"}))
def test_a_chats_field_that_is_null_is_as_if_it_were_not_sent(client, plain, field):
    limit = {"max_tokens": 12} if field != "max_tokens" else {"max_completion_tokens": 12}
    body = {"model": "llama", "user": "dee", "messages": [{"role": "user", "content": QUESTION}], **limit}
    answer = client.chat.completions.create(model="llama", messages=body["messages"], extra_body={**body, field: None})
    assert field == "user" or text_of(answer) == plain[0]


@pytest.mark.parametrize("field", sorted(TEXT_FIELDS - {"max_tokens"}))
def test_a_texts_field_that_is_null_is_as_if_it_were_not_sent(client, plain, field):
    answer = client.completions.create(model="llama", prompt="x", extra_body={"max_tokens": 12, field: None})
    assert answer.choices[0].text == plain[1]


@pytest.mark.parametrize(
    "idle",
    [
        {"tools": []},
        {"tools": [], "tool_choice": "none", "parallel_tool_calls": True},
        {"functions": [], "function_call": "auto"},
        {"response_format": {"type": "text"}},
        {"logit_bias": {}, "metadata": {}, "stop": []},
        {"n": 1, "logprobs": False, "top_logprobs": 0, "frequency_penalty": 0, "presence_penalty": 0.0},
        {"modalities": ["text"], "verbosity": "medium", "reasoning_effort": "none"},
        {"store": False, "service_tier": "auto", "stream_options": None},
        {"safety_identifier": "s", "prompt_cache_key": "k", "stop": ""},
    ],
)
def test_fields_that_ask_for_nothing_change_nothing(client, plain, idle):
    assert text_of(chat(client, extra_body=idle)) == plain[0]


def test_an_answer_goes_back_into_the_chat_as_the_client_returned_it(client):
    asked = [{"role": "user", "content": QUESTION}]
    message = chat(client, messages=asked).choices[0].message
    more = {"annotations": [], "audio": None, "function_call": None, "tool_calls": None}
    by_hand = {"role": "assistant", "content": message.content}
    forms = [message, message.model_dump(), {**message.model_dump(), **more}, {**by_hand, "tool_calls": []}, by_hand]
    after = [text_of(chat(client, messages=[*asked, form, {"role": "user", "content": "and y?"}])) for form in forms]
    assert after == after[:1] * len(forms)


def test_an_assistant_that_said_nothing_or_refused_is_read_so(client):
    def after(message):
        asked, last = ({"role": "user", "content": text} for text in ("x", "and y?"))
        return text_of(chat(client, messages=[asked, {"role": "assistant", **message}, last]))

    assert after({"content": None, "refusal": "no"}) == after({"content": "no"}) == after({"refusal": "no"})
    silent = text_of(chat(client, messages=[{"role": "user", "content": text} for text in ("x", "and y?")]))
    assert after({"content": None, "refusal": None, "tool_calls": []}) == silent
    for wrong in ({"tool_calls": [{"id": "1"}]}, {"audio": {"id": "1"}}):
        with pytest.raises(openai.BadRequestError) as caught:
            after({"content": "x", **wrong})
        assert caught.value.param == f"messages.1.{next(iter(wrong))}"


def test_a_message_of_a_user_without_content_is_refused(client):
    for content in ({}, {"content": None}):
        with pytest.raises(openai.BadRequestError) as caught:
            chat(client, messages=[{"role": "user", **content}])
        assert caught.value.param == "messages.0.content"


@pytest.mark.parametrize("model", ["llama", "t5"])
def test_more_tokens_than_there_is_room_for_are_answered_up_to_the_room(client, server, model):
    longest = server.service.engine.models.by_name[model].longest_answer(limit=LIMITS.answer_tokens)
    most, more = (chat(client, model=model, max_tokens=tokens) for tokens in (longest, 100_000))
    assert text_of(most) == text_of(more)
    assert most.choices[0].finish_reason == more.choices[0].finish_reason
    assert more.choices[0].finish_reason == "length" or more.usage.completion_tokens < longest


OLD = {"role": "user", "content": "an old turn of this long chat, of which nobody wants to know any more " * 2}
BRIEF = {"role": "system", "content": "be brief"}


@pytest.mark.parametrize("stream", [False, True])
def test_of_a_long_chat_the_newest_turn_is_read_and_the_oldest_is_left_out(client, stream):
    def answered(*messages):
        if not stream:
            return text_of(chat(client, messages=messages))
        return "".join(piece.choices[0].delta.content or "" for piece in chat(client, messages=messages, stream=True))

    last = [{"role": "user", "content": text} for text in ("what is the price of tea", "name the colour", ".")]
    assert len({answered(BRIEF, OLD, OLD, OLD, each) for each in last}) > 1
    for each in last:
        assert answered(BRIEF, OLD, OLD, OLD, each) == answered(BRIEF, OLD, each)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("messages", [[OLD, OLD | {"content": "x" * 300}], [BRIEF | {"content": "x" * 300}, OLD]])
def test_a_turn_for_which_there_is_no_room_is_refused_with_the_numbers(client, stream, messages):
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, messages=messages, stream=stream)
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "messages")
    assert "256" in caught.value.message


def test_a_text_for_which_there_is_no_room_is_refused_and_none_beside_it_is_cut(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="llama", prompt=["about x", "x" * 252], max_tokens=4)
    assert (caught.value.code, caught.value.param) == ("context_length_exceeded", "prompt")
    assert "259" in caught.value.message
    assert client.completions.create(model="llama", prompt="x" * 249, max_tokens=4).usage.prompt_tokens == 256 + 5
