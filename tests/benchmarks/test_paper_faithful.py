"""What our speed is measured against must compute the same thing: only then is a ratio of times worth anything."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.paper_faithful import COPIES, PublishedEmbedder, PublishedPlug, eleven_copies, encode_histories
from personaplug.embedder.embedder_config import PAPER
from personaplug.embedder.history import HistoryBatch
from personaplug.embedder.user_embedder import UserEmbedder
from personaplug.plug.batch import Batcher
from personaplug.plug.model import PersonaPlug
from personaplug.plug.prefix import PersonaPrefix
from personaplug.plug.run import PRESETS
from tests import tiny
from tests.embedder.histories import DIM, LLM_DIM, VIEWS, as_if_trained, few, random_histories, random_queries
from tests.world import TASK, encoder_in, make_examples, make_store, save_models


def paper_embedder(*, seed=0, dim=DIM, llm_dim=LLM_DIM):
    torch.manual_seed(seed)
    return as_if_trained(UserEmbedder(PAPER, views=VIEWS, dim=dim, llm_dim=llm_dim, embedding_norm=5.0), seed=seed)


def relative_difference(ours, theirs):
    return float(((ours - theirs).norm(dim=-1) / theirs.norm(dim=-1)).detach().max())


@few
@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_our_persona_is_the_published_one(counts, seed):
    histories, queries = random_histories(counts, seed=seed), random_queries(len(counts), seed=seed)
    ours, batch = paper_embedder(seed=seed), HistoryBatch.pack(histories)
    table = torch.zeros(len(counts), 64, DIM)
    for row, history in enumerate(histories):
        table[row, : counts[row]] = history.vectors[:, 0]
    published = PublishedEmbedder(ours, table, torch.tensor(counts))
    assert relative_difference(ours(queries, batch), published(queries, torch.arange(len(counts)))) < 1e-5


@pytest.fixture(scope="module", params=[tiny.encoder_decoder, tiny.joined_encoder_decoder])
def world(request, tmp_path_factory):
    """Our plug and the published one, of the same weights, and questions of users who have a history."""
    models = save_models(tmp_path_factory.mktemp("models"))
    encoder = encoder_in(models).freeze()
    backbone = request.param()
    with make_store(tmp_path_factory.mktemp("store") / "store.db", encoder) as store:
        embedder = paper_embedder(dim=encoder.dim, llm_dim=backbone.dim)
        prefix = PersonaPrefix(embedder, encoder)
        ours = PersonaPlug(prefix, backbone, batcher=Batcher(TASK, store, query_vectors=None), run=PRESETS["paper"])
        examples = [example for example in make_examples(store) if example.profile.items]
        published = PublishedEmbedder(embedder, *encode_histories(examples, TASK, encoder=encoder))
        yield ours, PublishedPlug(published, encoder, backbone, task=TASK), examples


def test_the_published_plug_has_the_loss_of_ours_with_the_padding_that_it_wants(world):
    """The store rounds vectors to float16, hence the tolerance."""
    ours, published, examples = world
    with torch.inference_mode():
        expected = float(ours.loss(ours.batcher(examples)))
        assert float(published.loss(examples, torch.arange(len(examples)))) == pytest.approx(expected, rel=1e-3)


def test_every_question_has_a_row_of_its_own_though_users_repeat(world):
    _, published, examples = world
    table, counts = encode_histories([examples[-1], examples[-1]], TASK, encoder=published.query_encoder)
    assert torch.equal(table[0], table[1])
    assert counts.tolist() == [len(examples[-1].profile.items)] * 2


def test_the_published_histories_are_of_the_texts_that_the_released_code_reads(world):
    _, published, examples = world
    released, encoder = replace(TASK, published_views=("{output} {input}",)), published.query_encoder
    items = examples[-1].profile.items
    table, _ = encode_histories(examples[-1:], released, encoder=encoder)
    expected = encoder.encode([f"{item.output} {item.input}" for item in items])
    assert torch.allclose(table[0, : len(items)], expected, atol=1e-6)
    assert not torch.allclose(table, encode_histories(examples[-1:], TASK, encoder=encoder)[0], atol=1e-3)


def test_eleven_copies_hold_half_to_all_but_one_of_the_items_and_short_histories_are_not_copied(world):
    *_, examples = world
    for example in examples:
        whole, *parts = eleven_copies([example], seed=0)
        size = len(example.profile.items)
        assert whole == example
        assert len(parts) == (COPIES - 1 if size > 2 else 0)
        assert all(size // 2 <= len(part.profile.items) < size for part in parts)
        assert all(set(part.profile.items) < set(example.profile.items) for part in parts)
