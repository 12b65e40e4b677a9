"""The choice between retrievers, and what the language model reads because of it."""

from types import SimpleNamespace

import pytest
import torch

from personaplug.methods.prompted import Prompted
from personaplug.methods.selected_prompt import SelectedPrompt
from personaplug.plug.backbone import GenerationConfig
from tests.world import TASK

WRITERS = [lambda _: "x", lambda _: "x y z", lambda _: "x"]


class OneTokenAWord:
    """A language model's eyes."""

    def embed(self, prompts, *, max_tokens):
        lengths = torch.tensor([min(max_tokens, len(prompt.split())) for prompt in prompts])
        return SimpleNamespace(mask=torch.arange(max_tokens) < lengths[:, None])


def selected(answer):
    """Choose the longest of three prompts, two of which are alike."""
    selector = SimpleNamespace(choose=lambda *_: 1)
    return SelectedPrompt(TASK, WRITERS, selector, answer)


@pytest.mark.parametrize(("answer", "tokens"), [(None, 3), (lambda prompts: ["a"] * len(prompts), 1 + 3 + 3)])
def test_all_that_is_answered_to_choose_is_counted_once_and_the_chosen_prompt_again(answer, tokens, examples):
    write = selected(answer)
    method = Prompted("rspg", OneTokenAWord(), write, GenerationConfig(), reads=write.reads)
    assert method.prompt_tokens(examples).tolist() == [tokens] * len(examples)


def test_the_options_of_a_batch_are_answered_together_a_retriever_at_a_time(examples):
    asked = []
    selected(lambda prompts: asked.append(len(prompts))).look(examples)
    assert asked == [len(examples)] * len(WRITERS)
    selected(None).look(examples)
