"""Attacks on a persona find what is there to be found, and nothing where nothing is."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.leak import linkage, membership, openings
from benchmarks.leak.inversion import Known, Reading, ridge_names
from benchmarks.leak.population import Population, random_halves
from benchmarks.leak.pursuit import Found, nearest, pursue, undone, words_of
from benchmarks.leak.ridge import fit
from benchmarks.leak.switches import bases, flattened, noises, rounded
from benchmarks.leak.words import Vocabulary, precision
from personaplug.embedder.wording import Wording, WordingProjector
from personaplug.records import Example, Profile
from tests.embedder.histories import few
from tests.factories import START, make_item

TOKENS, DIM = 400, 64

seeds = st.integers(0, 99)


def table(seed=0):
    return torch.randn(TOKENS, DIM, generator=torch.Generator().manual_seed(seed))


def history(count):
    return tuple(make_item(day, f"input {day}", f"output {day}") for day in range(count))


def example(user, count):
    return Example("q", Profile(user, history(count)), "input", None, START)


@few
@given(seed=seeds, count=st.integers(1, 6))
def test_a_pursuit_finds_every_token_of_a_mean_of_few_and_its_weight(seed, count):
    rng = np.random.default_rng(seed)
    tokens = rng.choice(TOKENS, size=count, replace=False)
    shares = rng.permutation(np.arange(count) + 3.0) / 10
    mean = torch.from_numpy(shares).float()[None] @ table()[tokens]
    (found,) = pursue(mean, table(), most=12)
    order = shares.argsort()[::-1]
    assert list(found.tokens) == list(tokens[order])
    assert np.allclose(np.array(found.weights) * float(mean.norm()), shares[order], atol=1e-3)


def test_a_pursuit_of_noise_finds_a_users_tokens_no_more_often_than_chance():
    noise = torch.randn(100, DIM, generator=torch.Generator().manual_seed(1))
    own = set(range(40))
    found = [token for each in pursue(noise, table(), most=10) for token in each.tokens]
    assert np.mean([token in own for token in found]) == pytest.approx(len(own) / TOKENS, abs=0.04)


def test_rows_of_a_batch_are_pursued_each_as_if_alone():
    rows = torch.stack([table()[:1].sum(dim=0), table()[:5].sum(dim=0)])
    together = pursue(rows, table(), most=8)
    for row, found in zip(rows, together, strict=True):
        assert set(found.tokens) == set(pursue(row[None], table(), most=8)[0].tokens)


def test_the_nearest_row_of_a_words_own_embedding_is_the_word():
    found = nearest(table()[[3, 7]], table(), most=1)
    assert [each.tokens for each in found] == [(3,), (7,)]


@few
@given(seed=seeds)
def test_what_is_undone_is_the_mean_wording_but_for_its_length(seed):
    generator = torch.Generator().manual_seed(seed)
    projector = WordingProjector(DIM, norm=3.0, gain=1.0)
    projector.outer.data = 0.02 * torch.randn(DIM, DIM, generator=generator)
    wording = Wording(torch.randn(1, 4, 2, DIM, generator=generator), torch.ones(1, 4, 2, dtype=torch.bool))
    with torch.no_grad():
        persona, _ = projector(torch.full((1, 1, 4), 0.25), wording)
    alike = torch.cosine_similarity(undone(persona, projector), wording.vectors.mean(dim=1), dim=-1)
    assert torch.allclose(alike, torch.ones(1, 2), atol=1e-4)


def test_a_word_of_two_tokens_has_the_weight_of_both_and_no_word_has_none():
    of_token = np.array([0, 0, 1, -1])
    assert words_of([Found((2, 3), (0.5, 9.0)), Found((0, 1), (0.3, 0.3))], of_token) == [0, 1]


def vocabulary():
    return Vocabulary(tuple(Counter([word, 99]) for word in range(40) for _ in range(3)))


def test_a_ridge_reads_words_from_vectors_that_are_their_embeddings_and_none_of_noise():
    rng = np.random.default_rng(0)
    words = rng.integers(40, size=240)
    bags = [Counter([int(word)]) for word in words]
    users = [str(at) for at in range(240)]
    own = rng.standard_normal((40, 60)).astype(np.float32)[words]
    noise = rng.standard_normal(own.shape).astype(np.float32)
    known = {name: Known(made[:200], bags[:200], users[:200]) for name, made in (("own", own), ("noise", noise))}
    hits = {}
    for name, made in (("own", own), ("noise", noise)):
        named = ridge_names(known[name], [row[None] for row in made[200:]], vocabulary=vocabulary())
        hits[name] = np.mean([words[0] in bag for words, bag in zip(named, bags[200:], strict=True)])
    assert hits["own"] > 0.9
    assert hits["noise"] < 0.25


@pytest.mark.parametrize("rows", [5, 50])
def test_a_ridge_of_almost_no_strength_goes_through_its_rows_and_a_strong_one_says_their_mean(rows):
    """Fewer rows than features, then more."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((rows, 10))
    targets = features @ rng.standard_normal((10, 3)) + 1.0
    weak, strong = fit(features, targets, strengths=(1e-9, 1e9))
    assert np.allclose(weak(features), targets, atol=1e-4)
    assert np.allclose(strong(features), targets.mean(axis=0), atol=1e-4)


def test_what_is_named_for_all_alike_is_no_more_the_users_than_a_strangers():
    bags = [Counter([1, 2, at]) for at in range(10, 20)]
    strangers = [*range(1, 10), 0]
    reading = Reading.of([[1, 2, 3]] * 10, bags, strangers=strangers, vocabulary=vocabulary(), seed=0)
    assert reading.own.value == pytest.approx(0.2)
    assert (reading.less.low, reading.less.value, reading.less.high) == (0, 0, 0)


def test_who_names_fewer_than_ten_words_misses_with_the_others():
    assert precision([1, 2], Counter([1, 2])) == pytest.approx(0.2)


def test_a_word_that_no_known_user_writes_is_rare_and_one_that_all_write_is_not():
    assert vocabulary().is_rare(1000)
    assert vocabulary().is_rare(3)
    assert not vocabulary().is_rare(99)


def test_openings_are_found_by_place():
    outputs = [[1, 2], [3, 4, 5]]
    found = [Found((1, 3), (0.6, 0.4)), Found((2, 1), (0.6, 0.4))]
    assert openings.recall(found, outputs) == pytest.approx(3 / 4)
    assert openings.precision(found, outputs) == pytest.approx(3 / 4)
    assert openings.is_word_for_word(found, outputs)
    assert not openings.is_word_for_word(found, [[1, 4], [3, 2]])
    assert openings.share_found(found, [3, 4, 5]) == pytest.approx(1 / 2)


@given(st.lists(st.floats(-9, 9), min_size=1, max_size=9), st.lists(st.floats(-9, 9), min_size=1, max_size=9))
def test_the_auc_of_two_sides_is_what_is_missing_to_one_with_the_sides_changed(inside, outside):
    assert membership.auc(inside, outside) == pytest.approx(1 - membership.auc(outside, inside))
    assert membership.auc(inside, inside) == pytest.approx(0.5)
    assert membership.auc([1.0] * len(inside), [1.0] * len(outside)) == 0.5


@given(st.integers(3, 40))
def test_members_and_later_items_are_the_whole_history_and_no_member_is_later(count):
    items = history(count)
    assert membership.members(items) + membership.later(items) == items
    assert len(membership.later(items)) >= 2


def test_an_item_that_says_what_a_member_says_is_not_asked_for():
    first, second = history(2)
    assert membership.not_among((make_item(9, "other", first.output), second), (first,)) == (second,)


@given(st.integers(2, 40))
def test_the_halves_of_a_history_are_as_long_as_each_other_and_share_nothing(count):
    items = history(count)
    first, second = linkage.earlier_half(items), linkage.later_half(items)
    assert len(first) == len(second) == count // 2
    assert not {item.id for item in first} & {item.id for item in second}


def test_halves_that_are_the_same_are_linked_and_noise_is_linked_as_often_as_chance():
    generator = torch.Generator().manual_seed(0)
    rows, others = torch.randn(2, 200, 16, generator=generator)
    assert linkage.ranks(rows, rows, center=rows.mean(dim=0)).tolist() == [1] * 200
    assert 70 < linkage.ranks(rows, others, center=rows.mean(dim=0)).float().median() < 130


def test_users_who_are_all_alike_are_in_the_middle():
    alike = torch.ones(9, 4)
    assert linkage.ranks(alike, alike, center=torch.zeros(4)).tolist() == [5] * 9


@given(st.lists(st.integers(8, 30), min_size=2, max_size=12))
def test_every_user_is_a_stranger_once_and_never_their_own(counts):
    population = Population(tuple(example(str(at), count) for at, count in enumerate(counts)), ())
    strangers = population.strangers
    assert sorted(strangers) == list(range(len(counts)))
    assert all(at != stranger for at, stranger in enumerate(strangers))


def test_a_random_half_keeps_the_order_and_the_query():
    (half,) = random_halves([example("ada", 9)], seed=0)
    times = [item.time for item in half.profile.items]
    assert len(times) == 5
    assert times == sorted(times)
    assert half.input == "input"


def test_switches_change_vectors_by_what_they_say():
    vectors = torch.randn(12, 2, 200, generator=torch.Generator().manual_seed(0))
    lengths = vectors.norm(dim=-1)
    (half,) = noises(0.5, seed=0)
    first, second = half.change(vectors), half.change(vectors)
    assert torch.allclose((first - vectors).norm(dim=-1) / lengths, torch.tensor(0.5), atol=0.15)
    assert not torch.allclose(first, second), "the same noise twice would link two halves by itself"
    assert ((rounded(vectors, levels=127) - vectors).abs() <= vectors.abs().amax(dim=-1, keepdim=True) / 253).all()
    main = bases(vectors, count=8)
    flat = flattened(vectors, bases=main)
    assert torch.allclose(flattened(flat, bases=main), flat, atol=1e-4)
    assert torch.linalg.matrix_rank(flat[:, 0]) == 8
