"""Small files in the LaMP benchmark's own form."""

import json

from personaplug.data.lamp import PROFILE_FIELDS

QUESTIONS = {
    "lamp-1": (
        'For an author who has written the paper with the title "On Owls", which reference is related? '
        'Just answer with [1] or [2] without explanation. [1]: "Night, Day" [2]: "Hens"'
    ),
    "lamp-2": "Which tag does this movie relate to among the following tags? tags: [action] description: An owl.",
    "lamp-3": "What is the score of the following review on a scale of 1 to 5? review: Good owl.",
    "lamp-4": "Generate a headline for the following article: An owl flew.",
    "lamp-5": "Generate a title for the following abstract of a paper: We study owls.",
    "lamp-6": "Generate a subject for the following email: Dear owl.",
    "lamp-7": "Paraphrase the following tweet without any explanation before or after it: hoot",
}


def make_profile(task_name, count, *, first_id=0, dates=None):
    fields = PROFILE_FIELDS[task_name]
    return [
        {"id": f"{first_id + n}", fields.output: f"o{n}"}
        | ({fields.input: f"i{n}"} if fields.input else {})
        | ({"date": dates[n]} if dates else {})
        for n in range(count)
    ]


def write_split(folder, task_name, split, profiles, *, answers=None, with_outputs=True, users=None):
    """Ask the task's question once with each profile; the answers are ``answer 0``, ``answer 1``, ..., unless given.

    Nobody is named unless users are given, one a question.
    """
    questions = [
        {"id": f"{split}{n}", "input": QUESTIONS[task_name], "profile": profile}
        | ({"user_id": users[n]} if users else {})
        for n, profile in enumerate(profiles)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{split}_questions.json").write_text(json.dumps(questions))
    if with_outputs:
        answers = answers or [f"answer {n}" for n in range(len(questions))]
        golds = [{"id": each["id"], "output": answer} for each, answer in zip(questions, answers, strict=True)]
        content = {"task": task_name.replace("lamp-", "LaMP_"), "golds": golds}
        (folder / f"{split}_outputs.json").write_text(json.dumps(content))
    return folder
