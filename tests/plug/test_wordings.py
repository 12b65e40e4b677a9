import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from personaplug.plug.output_tokens import OutputTokens
from personaplug.plug.query_source import QuerySource
from personaplug.plug.wordings import Wordings
from tests import tiny

few = settings(max_examples=15)
TEXTS = st.lists(st.text(max_size=9), min_size=1, max_size=4)
PLACES, LONGEST = 3, 6


@pytest.fixture(scope="module")
def backbone(family):
    return tiny.FAMILIES[family]()


@few
@given(texts=TEXTS)
def test_the_first_tokens_have_a_place_each_and_the_last_is_the_mean_of_the_rest(backbone, texts):
    made = Wordings(OutputTokens(backbone, longest=LONGEST), places=PLACES)(texts)
    table = backbone.model.get_input_embeddings().weight
    assert made.vectors.shape == (len(texts), PLACES + 1, backbone.dim)
    for text, vectors, mask in zip(texts, made.vectors, made.mask, strict=True):
        ids = backbone._ids(text)[:LONGEST]
        bags = [*([token] for token in ids[:PLACES]), *[[]] * (PLACES - len(ids)), ids[PLACES:]]
        assert mask.tolist() == [bool(bag) for bag in bags]
        for bag, vector in zip(bags, vectors, strict=True):
            expected = table[bag].mean(dim=0) if bag else torch.zeros(backbone.dim)
            torch.testing.assert_close(vector, expected)


@few
@given(texts=TEXTS)
def test_what_stands_ahead_has_the_first_place_of_each_output_that_says_anything(backbone, texts):
    made = Wordings(OutputTokens(backbone, longest=LONGEST), places=PLACES, ahead="-")(texts)
    table, dash = backbone.model.get_input_embeddings().weight, backbone._ids("-")
    assert made.vectors.shape == (len(texts), PLACES + 1, backbone.dim)
    for text, vectors, mask in zip(texts, made.vectors, made.mask, strict=True):
        ids = backbone._ids(text)[:PLACES]
        expected = [*dash, *ids] if ids else []
        assert torch.equal(vectors[mask], table[expected].view(-1, backbone.dim))


def test_of_what_stands_ahead_the_last_token_alone_has_a_place_and_of_nothing_none(backbone):
    outputs, table = OutputTokens(backbone, longest=LONGEST), backbone.model.get_input_embeddings().weight
    two, nothing = (Wordings(outputs, places=PLACES, ahead=ahead)(["abcdef"]) for ahead in ("-+", ""))
    assert torch.equal(two.vectors[0, 0], table[backbone._ids("-+")[-1]])
    assert nothing.mask.tolist() == [[False, *[True] * PLACES]]


def test_a_command_in_an_output_is_read_as_words(backbone):
    made = Wordings(OutputTokens(backbone, longest=9), places=4)(["</s>"])
    spelled = [token for character in "</s>" for token in backbone._ids(character)]
    assert torch.equal(made.vectors[0, :4], backbone.model.get_input_embeddings().weight[spelled])


def test_no_history_has_no_wording_but_a_shape(backbone):
    made = Wordings(OutputTokens(backbone, longest=LONGEST), places=PLACES)([])
    assert made.vectors.shape == (0, PLACES + 1, backbone.dim)
    assert made.mask.shape == (0, PLACES + 1)


@pytest.mark.parametrize(("source", "times"), [(QuerySource.STORE, 1), (QuerySource.ANEW, 2)])
def test_a_text_is_read_once_unless_each_is_to_be_read_anew(backbone, monkeypatch, source, times):
    asked = []
    own = backbone.reader.ids
    monkeypatch.setattr(backbone.reader, "ids", lambda texts, **more: asked.extend(texts) or own(texts, **more))
    wordings = Wordings(OutputTokens(backbone, longest=LONGEST, source=source), places=PLACES)
    first, again = (wordings(["one", "two"]) for _ in range(2))
    assert torch.equal(first.vectors, again.vectors)
    assert asked == ["one", "two"] * times
