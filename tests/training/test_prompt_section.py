"""A card shows the whole prompt, as the language model reads it."""

from dataclasses import replace

import pytest

from personaplug.training.prompt_section import prompt_section
from tests import tiny
from tests.world import TASK


@pytest.mark.parametrize("use_chat_template", [False, True])
def test_the_prompt_is_shown_with_all_that_stands_around_the_input(family, use_chat_template):
    backbone = tiny.FAMILIES[family](use_chat_template=use_chat_template)
    section = prompt_section(backbone, TASK, has_items=False)
    shown = section.split("```text\n")[1].split("\n```")[0]
    ids = backbone._input_ids(["Say: INPUT"], max_tokens=99)[0]
    assert shown == backbone.tokenizer.decode(ids)
    assert ("[Say: INPUT]!" in shown) is use_chat_template
    assert ("in its chat template" in section) is use_chat_template
    assert ("without a chat template" in section) is not use_chat_template


def test_items_that_stood_in_the_prompts_are_named_and_not_shown():
    assert "the user's items are left out" in prompt_section(tiny.decoder_only(), TASK, has_items=True)


def test_a_prompt_with_a_fence_of_its_own_ends_no_fence():
    section = prompt_section(tiny.decoder_only(), replace(TASK, prompt="```` {input} ````"), has_items=False)
    assert section.count("\n`````") == 2
