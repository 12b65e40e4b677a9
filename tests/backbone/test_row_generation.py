from itertools import cycle, pairwise
from string import ascii_lowercase
from time import sleep

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from personaplug.backbone.base import GenerationConfig
from personaplug.backbone.row_generation import RowGeneration, streamed
from tests import tiny

INPUTS = ["what is it", "", "a longer question than all the others here", "🙂"]
SAMPLED = [
    GenerationConfig("sample", temperature=2.0, top_p=p, max_new_tokens=9, seed=s) for s, p in enumerate([1.0, 0.9])
]
MIXED = [GenerationConfig(max_new_tokens=3), SAMPLED[0], GenerationConfig(max_new_tokens=12), SAMPLED[1]]
LONG = GenerationConfig(max_new_tokens=200)


@pytest.fixture(scope="module")
def backbone(family):
    return tiny.FAMILIES[family]()


def write(backbone, texts, configs, **more):
    writings = [RowGeneration(config, **more) for config in configs]
    backbone.write(backbone.embed(texts), writings)
    return writings


def written(text, **settings):
    """Write a text token by token as a tokenizer of one token a letter would."""
    heard = []
    writing = RowGeneration(LONG, is_streamed=True, tell=lambda each: heard.append(each.settled), **settings)
    for letter in [*text, "\0"]:
        if not writing.is_over:
            writing.add(ord(letter), is_end=letter == "\0", decode=spelled)
    return writing, heard


def spelled(tokens):
    """Decode as a tokenizer whose end is no word does."""
    return "".join(map(chr, filter(None, tokens)))


def test_a_greedy_answer_is_the_generated_one(backbone):
    config = GenerationConfig(max_new_tokens=10)
    texts = [writing.text for writing in write(backbone, INPUTS, [config] * len(INPUTS))]
    assert texts == backbone.generate(backbone.embed(INPUTS), config)
    assert len(set(texts)) > 1


def test_a_mixed_batch_is_written_as_one_by_one(backbone):
    together = write(backbone, INPUTS, MIXED)
    for writing, text, config in zip(together, INPUTS, MIXED, strict=True):
        (alone,) = write(backbone, [text], [config])
        assert (writing.tokens, writing.text, writing.ending) == (alone.tokens, alone.text, alone.ending)
        assert len(writing.tokens) <= config.max_new_tokens


def test_a_drawn_answer_repeats_with_its_seed_alone(backbone):
    def texts(seed):
        config = GenerationConfig("sample", temperature=2.0, max_new_tokens=12, seed=seed)
        return [writing.text for writing in write(backbone, INPUTS, [config] * len(INPUTS))]

    assert texts(1) == texts(1) != texts(2)


def test_draws_follow_the_chances_that_the_model_gives():
    """Against the softmax of the model's own first logits, as a frequency over many seeds."""
    backbone = tiny.decoder_only()
    inputs = backbone.embed(["what"] * 400)
    configs = [GenerationConfig("sample", temperature=3.0, top_p=1.0, max_new_tokens=1, seed=s) for s in range(400)]
    writings = [RowGeneration(config) for config in configs]
    backbone.write(inputs, writings)
    logits = backbone.model(inputs_embeds=inputs.embeds[:1]).logits[0, -1].float()
    logits[backbone.model.generation_config.suppress_tokens] = -torch.inf
    chances = (logits / 3.0).softmax(dim=0)
    drawn = torch.tensor([writing.tokens[0] if writing.tokens else 2 for writing in writings]).bincount(minlength=260)
    assert (drawn / 400 - chances).abs().max() < 0.08
    assert chances.max() < 0.9


def test_a_narrow_nucleus_leaves_the_likeliest_token_alone(backbone):
    narrow = GenerationConfig("sample", temperature=1.0, top_p=1e-6, max_new_tokens=9, seed=3)
    greedy = GenerationConfig(max_new_tokens=9)
    narrowed, plain = (write(backbone, INPUTS, [config] * 4) for config in (narrow, greedy))
    assert [each.text for each in narrowed] == [each.text for each in plain]


def test_a_cancelled_row_ends_and_no_other_changes(backbone):
    config = GenerationConfig(max_new_tokens=20)
    plain = write(backbone, INPUTS[:2], [config] * 2)
    assert len(plain[0].tokens) > 2, "the row must have something to lose"
    first = RowGeneration(config, tell=lambda writing: len(writing.tokens) == 2 and writing.cancel(), is_streamed=True)
    second = RowGeneration(config)
    backbone.write(backbone.embed(INPUTS[:2]), [first, second])
    assert first.ending is None
    assert first.tokens == plain[0].tokens[:2]
    assert second.text == plain[1].text


def test_a_stop_ends_an_answer_before_it(backbone):
    (plain,) = write(backbone, INPUTS[:1], [GenerationConfig(max_new_tokens=20)])
    stop = plain.text[4:6]
    (stopped,) = write(backbone, INPUTS[:1], [GenerationConfig(max_new_tokens=20)], stops=[stop])
    assert stopped.text == plain.text[: plain.text.index(stop)].strip()
    assert stopped.ending == "stop"
    assert len(stopped.tokens) < len(plain.tokens)


@settings(max_examples=60)
@given(text=st.text("a 雨", max_size=12), stops=st.lists(st.text("a 雨", min_size=1, max_size=4), max_size=2))
@example(text="雨雨", stops=["雨雨"])
@example(text="a a a a", stops=["a a a"])
def test_what_is_settled_is_never_taken_back(text, stops):
    writing, heard = written(text, stops=stops)
    for earlier, later in pairwise(heard):
        assert later.startswith(earlier)
    assert heard[-1] == writing.text
    assert not any(stop in writing.text for stop in stops)


def test_words_are_settled_one_by_one():
    _, heard = written("one two three")
    assert list(dict.fromkeys(heard)) == ["", "one", "one two", "one two three"]


def test_signs_of_a_script_without_spaces_are_settled_at_once():
    assert written("雨の日")[1] == ["雨", "雨の", "雨の日", "雨の日"]


def test_an_answer_as_long_as_it_may_be_says_so():
    writing = RowGeneration(GenerationConfig(max_new_tokens=3))
    for letter in ascii_lowercase[:3]:
        writing.add(ord(letter), is_end=False, decode=lambda tokens: "".join(map(chr, tokens)))
    assert (writing.text, writing.ending) == ("abc", "length")


def test_a_reader_who_leaves_ends_the_answer_and_waits_for_its_end():
    ended = []

    def write(writing):
        for letter in cycle("one two "):
            if writing.is_over:
                break
            writing.add(ord(letter), is_end=False, decode=spelled)
            sleep(0.001)
        ended.append(writing.is_cancelled)

    pieces = streamed(LONG, write)
    assert next(pieces) == "one"
    pieces.close()
    assert ended == [True]


def test_beams_do_not_grow_token_by_token():
    with pytest.raises(ValueError, match="beams"):
        RowGeneration(GenerationConfig(strategy="beam"))


def test_the_longest_answer_has_a_position_for_every_token():
    backbone = tiny.absolute_decoder_only()
    room = backbone.longest_answer(input_tokens=100)
    inputs = backbone.embed(["x" * 200], max_tokens=100)
    backbone.model.generation_config.eos_token_id = None
    for tokens in (room, room + 2):  # the last token of an answer is never read
        writing = RowGeneration(GenerationConfig(max_new_tokens=tokens))
        if tokens > room:
            with pytest.raises(IndexError):
                backbone.write(inputs, [writing])
        else:
            backbone.write(inputs, [writing])
            assert len(writing.tokens) == room
    assert tiny.encoder_decoder().longest_answer(input_tokens=100) is None
    assert tiny.joined_encoder_decoder().longest_answer(input_tokens=100) == 511
