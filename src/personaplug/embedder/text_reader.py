"""Tokenize what users write as words: whoever types ``</s>`` or ``<think>`` commands no model."""

import json
from collections.abc import Sequence
from functools import cached_property
from secrets import token_hex
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase

_SPACE = "\N{LOWER ONE EIGHTH BLOCK}"
"""What SentencePiece writes for a space."""


class TextReader:
    """Reads texts with a tokenizer that matches none of its control tokens in them.

    A tokenizer looks for its added tokens before it looks for words, and flags only some of those that steer a model as
    special. Here each goes by a name that nobody can type, and keeps its id. Added tokens that are words or white space
    steer nothing, and stay.

    Args:
        tokenizer: Any of Hugging Face's; it is not changed. One written in Python can do no better than to split all.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer

    def ids(self, texts: Sequence[str], *, most: int | None = None) -> list[list[int]]:
        """Give each text's own tokens, the first ``most`` of them."""
        if not texts:
            return []  # Tokenizers refuse to read nothing.
        if self._words is None:
            rows = self.tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True).input_ids
        else:
            encoded = self._words.encode_batch_fast(list(texts), add_special_tokens=False)
            rows = [row.ids for row in encoded]
        return [list(row[:most]) for row in rows]

    def ends(self, text: str) -> list[int]:
        """Say behind which character each token of a text ends.

        Raises:
            NotImplementedError: The tokenizer is written in Python, and does not know.
        """
        if self._words is not None:
            return [end for _, end in self._words.encode(text, add_special_tokens=False).offsets]
        own = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True, return_offsets_mapping=True)
        return [end for _, end in own.offset_mapping]

    @cached_property
    def frame(self) -> tuple[list[int], list[int]]:
        """Find the tokens that the tokenizer puts before and after every text."""
        bare, whole = self.ids(["a"])[0], list(self.tokenizer("a").input_ids)
        start = next(at for at in range(len(whole)) if whole[at : at + len(bare)] == bare)
        return whole[:start], whole[start + len(bare) :]

    @cached_property
    def _words(self) -> Tokenizer | None:
        """Copy the tokenizer, its control tokens renamed; None for one that is written in Python."""
        if not self.tokenizer.is_fast:
            return None
        described = json.loads(self.tokenizer.backend_tokenizer.to_str())
        _rename_commands(described)
        words: Tokenizer = Tokenizer.from_str(json.dumps(described))
        words.no_truncation()
        words.no_padding()
        return words


def _rename_commands(described: dict[str, Any]) -> None:
    model, added = described["model"], described["added_tokens"]
    merged = {piece for merge in model.get("merges", ()) for piece in _pieces(merge)}
    # A piece that is merged, and only found sooner as an added token, is a word of the model's own.
    described["added_tokens"] = added = [each for each in added if each["special"] or each["content"] not in merged]
    secret = token_hex(16)
    names = {each["content"]: f"{secret}{each['id']}" for each in added if _is_command(each)}
    for each in added:
        each["content"] = names.get(each["content"], each["content"])
    if isinstance(model["vocab"], dict):
        model["vocab"] = {names.get(piece, piece): at for piece, at in model["vocab"].items()}
    else:  # SentencePiece's unigrams: they hold the control tokens too, as the likeliest of all pieces.
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in model["vocab"]]
    if isinstance(unknown := model.get("unk_token"), str):
        model["unk_token"] = names.get(unknown, unknown)
    if "merges" in model:
        model["merges"] = [merge for merge in model["merges"] if not names.keys() & set(_pieces(merge))]


def _is_command(added: dict[str, Any]) -> bool:
    return added["special"] or not all(sign.isalnum() or sign.isspace() or sign == _SPACE for sign in added["content"])


def _pieces(merge: str | list[str]) -> tuple[str, str, str]:
    """Give the two pieces of a merge, and what it makes of them."""
    first, second = merge.split(" ") if isinstance(merge, str) else merge
    return first, second, first + second
