"""What every writer of prompts promises, and what asks with it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from personaplug.backbone.base import GenerationConfig
from personaplug.methods.input_prompt import InputPrompt
from personaplug.methods.prompted import Prompted
from personaplug.methods.text_profile import ProfilePrompt, TextProfiles
from personaplug.plug.retrieval_prompt import RetrievalPrompt
from personaplug.retrieval.recency import RecencyRetriever
from personaplug.rivals.learned_retrieval.selected_prompt import SelectedPrompt
from tests.world import TASK

ITEMS = RetrievalPrompt(TASK, RecencyRetriever(), 2, 40, len, str, 256)
INPUT = InputPrompt(TASK, str, 256)


def selected(_):
    selector = SimpleNamespace(choose=lambda queries, _: [1] * len(queries), reads="query")
    return SelectedPrompt(TASK, [INPUT, ITEMS], selector, 256, lambda prompts: prompts)


def described(folder):
    author = SimpleNamespace(respond=lambda asked: [f"asked {example.input}" for example in asked])
    profiles = TextProfiles(author, "who is it?", "an author", 2, folder)
    return ProfilePrompt(profiles, INPUT, max_tokens=256, profile_tokens=64, cut=str, count_tokens=len)


@pytest.fixture(
    params=[
        pytest.param(lambda _: INPUT, id="input"),
        pytest.param(lambda _: ITEMS, id="items"),
        pytest.param(selected, id="selected"),
        pytest.param(described, id="profile"),
    ]
)
def writer(request, tmp_path):
    return request.param(tmp_path / "kept")


class Echo:
    """A language model that answers with what it reads."""

    def embed(self, prompts, *, max_tokens):
        return SimpleNamespace(mask=torch.ones(len(prompts), max_tokens), prompts=prompts)

    def read_ahead(self, inputs, _):
        return inputs

    def generate(self, inputs, _):
        return inputs.prompts

    def score(self, inputs, targets, *, max_tokens):
        assert max_tokens
        return SimpleNamespace(log_likelihood=torch.zeros(len(targets)), tokens=torch.ones(len(inputs.prompts)))


def test_the_prompt_that_is_answered_is_the_last_that_is_read(writer, examples):
    assert [prompts[-1] for prompts in writer.reads(examples)] == writer.write(examples)


def test_what_is_prepared_changes_no_prompt(writer, examples):
    before = writer.write(examples)
    writer.prepare(examples)
    assert writer.write(examples) == before


@pytest.mark.parametrize("count", [0, 3])
def test_bytes_are_whole_numbers_one_an_example(writer, count, examples):
    found = writer.user_bytes(examples[:count])
    assert found.shape == (count,)
    assert np.issubdtype(found.dtype, np.integer)


def test_a_batch_is_written_once_for_all_that_is_asked_of_it_and_anew_for_an_answer(writer, examples):
    written = []
    noting = SimpleNamespace(
        max_tokens=writer.max_tokens, reads=lambda asked: written.append(asked) or writer.reads(asked)
    )
    method = Prompted("any", Echo(), writer=noting, generation=GenerationConfig())
    answers = method.respond(examples)
    method.log_likelihood(list(examples))
    method.prompt_tokens(list(examples))
    assert answers == writer.write(examples)
    assert len(written) == 1
    assert method.respond(examples) == answers
    assert len(written) == 2


def test_a_user_is_described_before_the_clock_runs_or_when_first_asked(examples, tmp_path):
    prepared, late = described(tmp_path / "prepared"), described(tmp_path / "late")
    prepared.prepare(examples)
    kept = prepared.profiles.read(examples[-1])
    assert kept == "asked who is it?"
    assert late.write(examples) == prepared.write(examples)
    assert late.profiles.read(examples[-1]) == kept
    assert prepared.user_bytes(examples)[-1] == len(kept)
