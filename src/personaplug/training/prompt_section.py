"""The part of a model card that shows how the language model was asked."""

import re

from personaplug.backbone.base import Backbone
from personaplug.tasks.task import Task

_SECTION = """How the language model was asked, {how}; `INPUT` stands for the user's text{items}:

{fence}text
{prompt}
{fence}
"""


def prompt_section(backbone: Backbone, task: Task, *, has_items: bool) -> str:
    """Write the section: whether there is a chat template, and the whole prompt of a made-up input, of no user's text.

    Args:
        backbone: The language model.
        task: Its words stand around the input.
        has_items: Whether items of the user stood in the prompts, too; none are shown.
    """
    prompt = backbone.framed(task.prompt_text("INPUT"))
    runs = [len(found) for found in re.findall("`+", prompt)]
    return _SECTION.format(
        how="in its chat template" if backbone.use_chat_template else "without a chat template",
        items=", and the user's items are left out" if has_items else "",
        fence="`" * max(3, *(length + 1 for length in runs), 0),
        prompt=prompt,
    )
