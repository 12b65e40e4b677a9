"""The command that starts vLLM, which its real server takes in ``test_real_vllm.py``."""

import shlex
from pathlib import Path

import pytest

from personaplug.serving.engine.vllm_command import vllm_command


def after(option, command):
    words = shlex.split(command)
    return words[words.index(option) + 1]


@pytest.mark.parametrize("count", [1, 3])
def test_there_is_one_place_more_than_adapters(count):
    assert after("--max-loras", vllm_command("m", loras={}, rank=8, maps=["q"], count=count)) == str(count + 1)


@pytest.mark.parametrize(("rank", "said"), [(1, "8"), (8, "8"), (9, "16"), (300, "320"), (512, "512")])
def test_the_rank_is_one_that_vllm_knows_and_large_enough(rank, said):
    assert after("--max-lora-rank", vllm_command("m", loras={}, rank=rank, maps=["q"], count=1)) == said


def test_a_folder_with_a_space_can_be_typed():
    command = vllm_command("a model", loras={"name": Path("my adapters/name")}, rank=8, maps=["q", "v"], count=1)
    assert after("serve", command) == "a model"
    assert shlex.split(command)[-1] == "name=my adapters/name"
    assert "--lora-modules" not in vllm_command("m", loras={}, rank=8, maps=["q"], count=1)
