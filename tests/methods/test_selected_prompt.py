"""The choice between retrievers, and what the language model reads because of it."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch

from personaplug.methods.prompted import Prompted
from personaplug.methods.selected_prompt import SelectedPrompt
from personaplug.plug.backbone import GenerationConfig
from tests.world import TASK

PROMPTS = ["x", "x y z", "x"]


class OneTokenAWord:
    """A language model's eyes."""

    def embed(self, prompts, *, max_tokens):
        lengths = torch.tensor([min(max_tokens, len(prompt.split())) for prompt in prompts])
        return SimpleNamespace(mask=torch.arange(max_tokens) < lengths[:, None])


def selected(answer):
    """Choose the longest of three prompts, two of which are alike."""
    writers = [partial(repeated, prompt) for prompt in PROMPTS]
    selector = SimpleNamespace(choose=lambda queries, _: [1] * len(queries), reads="query")
    return SelectedPrompt(TASK, writers, selector, answer)


def repeated(prompt, examples):
    return [prompt] * len(examples)


@pytest.mark.parametrize(("answer", "tokens"), [(None, 3), (lambda prompts: ["a"] * len(prompts), 1 + 3 + 3)])
def test_all_that_is_answered_to_choose_is_counted_once_and_the_chosen_prompt_again(answer, tokens, examples):
    write = selected(answer)
    method = Prompted("rspg", OneTokenAWord(), write, GenerationConfig(), reads=write.reads)
    assert method.prompt_tokens(examples).tolist() == [tokens] * len(examples)


def test_the_options_of_a_batch_are_answered_together_a_retriever_at_a_time(examples):
    asked = []
    assert selected(noting(asked))(examples) == ["x y z"] * len(examples)
    assert [list(column) for column in asked] == [[prompt] * len(examples) for prompt in PROMPTS]


def test_options_are_not_answered_again_to_count_what_is_read(examples):
    asked = []
    write = selected(noting(asked))
    write(examples)
    assert write.reads(examples) == [["x", "x y z", "x y z"]] * len(examples)
    assert len(asked) == len(PROMPTS)


def noting(asked):
    """Answer prompts with themselves and note them."""

    def answer(prompts):
        asked.append(prompts)
        return prompts

    return answer
