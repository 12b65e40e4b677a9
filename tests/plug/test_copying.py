"""The user's own words in answers: in a batch of several users and runs."""

from dataclasses import replace

import pytest
import torch

from personaplug.backbone.generation_config import GenerationConfig
from personaplug.backbone.mixing import SeparateRows
from personaplug.embedder.copy_head import CopyHead, Copying, CopyingConfig
from personaplug.embedder.written import Written
from personaplug.plug.copying import side_by_side
from personaplug.plug.model import build_plug
from personaplug.plug.query_source import QuerySource
from tests.world import TASK, make_run

SHORT = GenerationConfig(max_new_tokens=6)
OF_TWO = CopyingConfig(order=2, boost=1e60)


def heads():
    torch.manual_seed(0)
    made = CopyHead(2), CopyHead(2)
    for head in made:
        for weight in head.parameters():
            weight.data.normal_()
    return made


def row(head, *outputs):
    return Copying(head, Written.of([torch.tensor(output) for output in outputs], order=2, most=99))


@pytest.mark.parametrize("kinds", [(0, 0, 0), (0, 1, 0), (0, None, 1), (None, None, 0)], ids=str)
def test_each_row_of_a_batch_has_its_own_users_words_of_its_own_run(kinds):
    histories = ([[1, 2, 3], [1, 4]], [], [[5, 1, 2]])
    both = heads()
    rows = [None if at is None else row(both[at], *each) for at, each in zip(kinds, histories, strict=True)]
    logits, so_far = torch.randn(3, 8).log_softmax(dim=-1), torch.tensor([[1], [1], [5]])
    together = side_by_side(rows)
    assert isinstance(together, Copying) == (kinds == (0, 0, 0))
    for found, mixed, own, given in zip(together.next(logits, so_far), rows, logits, so_far, strict=True):
        torch.testing.assert_close(found, mixed.next(own[None], given[None])[0] if mixed else own)
    scored = together.scored(logits[:, :1], so_far)
    for found, mixed, own, given in zip(scored, rows, logits, so_far, strict=True):
        torch.testing.assert_close(found, mixed.scored(own[None, :1], given[None])[0] if mixed else own[:1])


def test_where_nothing_has_a_say_nothing_is_mixed_in():
    assert side_by_side([None, None]) is None
    assert isinstance(SeparateRows([None]).row(0), SeparateRows)


@pytest.fixture
def plug(models, family, store):
    run = make_run(models, family, copying=OF_TWO)
    made = build_plug(run, TASK, store=store, query_source=QuerySource.STORE).eval()
    made.backbone.model.generation_config.suppress_tokens = None
    made.copy_head.gate.bias.data = torch.tensor([-30.0, 0.0, 0.0, 9.0])  # all from the longest runs
    return made


def test_an_answer_copies_what_its_user_wrote_and_nothing_without_a_persona(plug, examples):
    dee = replace(examples[-1], input="your own view")
    said = {item.output for item in dee.profile.items}
    assert plug.respond([dee], SHORT)[0] in said
    assert plug.respond([dee], SHORT, with_persona=False)[0] not in said
    other = replace(dee.profile, items=tuple(replace(item, output="maybe") for item in dee.profile.items))
    assert plug.respond([replace(dee, profile=other)], SHORT) == ["maybe"]
