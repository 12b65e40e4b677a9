"""A choice between retrievers that learns: RSPG's (arXiv 2404.05970)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from personaplug.embedder.encoder import TextEncoder
from personaplug.rivals.ranker import trained_copy

_QUERY_WORDS = 64


class PromptSelector(nn.Module):
    """Scores the prompts that several retrievers make for one query, before or after they are answered.

    Beside what it reads, it learns how good each retriever is for most queries (a bias that the paper does not have).

    Args:
        encoder: Where training begins; it is copied, and never changed.
        retrievers: How many there are to choose from, always in one order.
    """

    def __init__(self, encoder: TextEncoder, retrievers: int) -> None:
        super().__init__()
        self.encoder = trained_copy(encoder)
        self.head = nn.Linear(encoder.dim, 1, bias=False, device=encoder.device)
        self.bias = nn.Parameter(torch.zeros(retrievers, device=encoder.device))
        nn.init.zeros_(self.head.weight)  # Before training, all retrievers are as good.

    def logits(self, queries: Sequence[str], options: Sequence[Sequence[str]]) -> Float[Tensor, "batch options"]:
        """Score each query's options, one a retriever, with gradients; see :func:`option_text`.

        Retrievers often agree: equal options are encoded once.
        """
        texts = [f"{_beginning(query)}\n{text}" for query, row in zip(queries, options, strict=True) for text in row]
        places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
        scores: Tensor = self.head(self.encoder.encode_items(list(places)))[[places[text] for text in texts]]
        return scores.view(len(queries), len(self.bias)) + self.bias

    @torch.inference_mode()
    def choose(self, query: str, options: Sequence[str]) -> int:
        """Name the place of the best option; of equal ones the first."""
        return int(self.logits([query], [options])[0].argmax())


def option_text(prompt: str, answer: str | None) -> str:
    """Write what the selector reads of an option, the answer (where there is one) first: the encoder cuts the end."""
    return prompt if answer is None else f"{answer}\n{prompt}"


def _beginning(query: str) -> str:
    """Keep a query's first words, so that a long one leaves room for the option."""
    return " ".join(query.split()[:_QUERY_WORDS])
