"""The choice between retrievers, and what the language model reads because of it."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from personaplug.backbone.base import GenerationConfig
from personaplug.methods.prompted import Prompted
from personaplug.rivals.learned_retrieval.selected_prompt import SelectedPrompt
from tests.world import TASK

PROMPTS = ["x", "x y z", "x"]


class OneTokenAWord:
    """A language model that answers with what it reads."""

    def embed(self, prompts, *, max_tokens):
        lengths = torch.tensor([min(max_tokens, len(prompt.split())) for prompt in prompts])
        return SimpleNamespace(mask=torch.arange(max_tokens) < lengths[:, None], prompts=prompts)

    def read_ahead(self, inputs, _):
        return inputs

    def generate(self, inputs, _):
        return inputs.prompts


def selected(answer):
    """Choose the longest of three prompts, two of which are alike."""
    writers = [SimpleNamespace(write=partial(repeated, prompt)) for prompt in PROMPTS]
    selector = SimpleNamespace(choose=lambda queries, _: [1] * len(queries), reads="query")
    return SelectedPrompt(TASK, writers, selector, 256, answer)


def repeated(prompt, examples):
    return [prompt] * len(examples)


@pytest.mark.parametrize(("answer", "tokens"), [(None, 3), (lambda prompts: ["a"] * len(prompts), 1 + 3 + 3)])
def test_all_that_is_answered_to_choose_is_counted_once_and_the_chosen_prompt_again(answer, tokens, examples):
    method = asked_with(selected(answer))
    assert method.prompt_tokens(examples).tolist() == [tokens] * len(examples)


def test_the_options_of_a_batch_are_answered_together_a_retriever_at_a_time(examples):
    asked = []
    assert selected(noting(asked)).write(examples) == ["x y z"] * len(examples)
    assert [list(column) for column in asked] == [[prompt] * len(examples) for prompt in PROMPTS]


def test_options_are_not_answered_again_to_count_what_is_read(examples):
    asked = []
    method = asked_with(selected(noting(asked)))
    assert method.respond(examples) == ["x y z"] * len(examples)
    assert method.prompt_tokens(examples).tolist() == [1 + 3 + 3] * len(examples)
    assert len(asked) == len(PROMPTS)


@pytest.mark.parametrize("answer", [None, lambda prompts: prompts])
def test_what_is_read_last_is_the_chosen_prompt(answer, examples):
    options = ["x", "x y z"] if answer else []
    assert selected(answer).reads(examples) == [[*options, "x y z"]] * len(examples)


def asked_with(writer):
    return Prompted("rspg", OneTokenAWord(), writer=writer, generation=GenerationConfig())


def noting(asked):
    """Answer prompts with themselves and note them."""

    def answer(prompts):
        asked.append(prompts)
        return prompts

    return answer
