"""A choice between retrievers that learns: RSPG's (arXiv 2404.05970)."""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from personaplug.embedder.encoder import TextEncoder
from personaplug.rivals.learned_retrieval.ranker import trained_copy

Reading = Literal["query", "prompt"]
"""``query``: the query's first words, the answer, the prompt. ``prompt``: the whole prompt in lower case, then the
answer, as in the released code of RSPG."""

_QUERY_WORDS = 64


class PromptSelector(nn.Module):
    """Scores the prompts that several retrievers make for one query, before or after they are answered.

    Beside what it reads, it learns how good each retriever is for most queries; a reader of whole prompts does not, as
    in the paper, and scores vectors as they are pooled.

    Args:
        encoder: Where training begins; it is copied, and never changed.
        retrievers: How many there are to choose from, always in one order.
        reads: What of a query and its options.
    """

    def __init__(self, encoder: TextEncoder, retrievers: int, *, reads: Reading = "query") -> None:
        super().__init__()
        self.reads = reads
        self.encoder = trained_copy(encoder.as_pooled() if reads == "prompt" else encoder)
        self.head = nn.Linear(encoder.dim, 1, bias=False, device=encoder.device)
        self.bias = nn.Parameter(torch.zeros(retrievers, device=encoder.device), requires_grad=reads == "query")
        nn.init.zeros_(self.head.weight)  # Before training, all retrievers are as good.

    def logits(self, queries: Sequence[str], options: Sequence[Sequence[str]]) -> Float[Tensor, "batch options"]:
        """Score each query's options, one a retriever, with gradients; see :func:`option_texts`.

        Retrievers often agree: equal options are encoded once.
        """
        return self._scores(queries, options, encode=self.encoder.encode_items)

    @torch.inference_mode()
    def choose(self, queries: Sequence[str], options: Sequence[Sequence[str]]) -> list[int]:
        """Name the place of each query's best option; of equal ones the first."""
        places: list[int] = self._scores(queries, options, encode=self.encoder.encode).argmax(dim=1).tolist()
        return places

    def _scores(
        self, queries: Sequence[str], options: Sequence[Sequence[str]], *, encode: Callable[[Sequence[str]], Tensor]
    ) -> Float[Tensor, "batch options"]:
        texts = [self._text(query, option) for query, row in zip(queries, options, strict=True) for option in row]
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        scores: Tensor = self.head(encode(list(places)).to(self.bias.device))[[places[text] for text in texts]]
        return scores.view(len(queries), len(self.bias)) + self.bias

    def _text(self, query: str, option: str) -> str:
        return option if self.reads == "prompt" else f"{_beginning(query)}\n{option}"


def option_texts(
    prompts: Sequence[Sequence[str]],
    answer: Callable[[Sequence[str]], Sequence[str]] | None,
    *,
    reads: Reading = "query",
) -> list[tuple[str, ...]]:
    """Write what the selector reads of each query's options.

    Args:
        prompts: Of each query, one a retriever.
        answer: Answers prompts, a retriever's for all queries at once; None for the prompts alone.
        reads: As the selector does: answers stand first, for the encoder cuts the end, or behind whole prompts.
    """
    if answer is None:
        return [tuple(_written(prompt, reads) for prompt in row) for row in prompts]
    columns = [
        [_written(prompt, reads, said=said) for said, prompt in zip(answer(column), column, strict=True)]
        for column in zip(*prompts, strict=True)
    ]
    return list(zip(*columns, strict=True))


def _written(prompt: str, reads: Reading, *, said: str | None = None) -> str:
    if reads == "prompt":
        return prompt.lower() if said is None else f"{prompt.lower()}\n{said}"
    return prompt if said is None else f"{said}\n{prompt}"


def _beginning(query: str) -> str:
    """Keep a query's first words, so that a long one leaves room for the option."""
    return " ".join(query.split()[:_QUERY_WORDS])
