"""Where a plug's attention goes, as the evaluation wants to know it."""

import numpy as np
import pytest

from personaplug.evaluation.harness import AttentiveMethod
from personaplug.methods.persona_plug import PlugMethod
from personaplug.plug.backbone import GenerationConfig
from personaplug.plug.model import build_plug
from tests.world import TASK, USERS, as_if_trained, make_run


@pytest.fixture(scope="module", params=["plug", "tuned-prompt"])
def method(request, models, store):
    plug = build_plug(make_run(models, "decoder-only", method=request.param), TASK, store=store)
    return PlugMethod(request.param, as_if_trained(plug), GenerationConfig())


def test_attention_is_measured_wherever_there_is_a_choice(method, examples):
    assert isinstance(method, AttentiveMethod)
    with_a_choice = sum(count >= 2 for count in USERS.values())
    assert len(method.attention(examples)) == (with_a_choice if method.name == "plug" else 0)
    assert method.attention(examples[:2]) == []


@pytest.mark.parametrize("method", ["plug"], indirect=True)
def test_attention_is_that_of_the_weights_similarities_and_ages_of_the_memories(method, examples):
    dee = examples[-1]
    (measured,) = method.attention([dee])
    (memories,) = method.plug.memories([dee])
    weights = np.array([memory.weight for memory in memories])
    similarities = np.array([memory.similarity for memory in memories])
    each = np.array([memory.weights for memory in memories])
    assert measured.effective_items == pytest.approx(np.exp(-(each * np.log(each)).sum(axis=0)).mean(), rel=1e-4)
    assert weights == pytest.approx(each.mean(axis=1))
    assert measured.similarity_lift == pytest.approx(weights @ similarities - similarities.mean(), abs=1e-5)
    newest_half = np.array([memory.age_days for memory in memories]) < np.median([m.age_days for m in memories])
    assert sum(measured.by_age[:5]) / 10 == pytest.approx(weights[newest_half].sum(), abs=1e-5)
