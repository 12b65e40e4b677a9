"""A frozen language model's own states, in place of an encoder's.

A middle layer's states tell wording, capitals and punctuation, which uncased sentence encoders never see. Their cosine
tells little as they are: a few dimensions are so large in every text that all texts look alike. So each dimension
becomes a standard score, as "All Bark and No Bite" proposes (https://arxiv.org/abs/2109.04404). Mean and spread are
those of a fixed set of texts, so that a vector depends on no user and no log.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from personaplug.embedder.autocast import without_autocast
from personaplug.embedder.text_reader import TextReader
from personaplug.errors import ConfigError

PROBE = (
    "The quick brown fox jumps over the lazy dog.",
    "A persona is made of memories, and memories of words.",
    "2011: fix off-by-one in diff.c",
    "Dear all, please find the minutes of yesterday's meeting attached. Best, Anna",
    "We propose a method for parsing that is faster than earlier ones and as accurate.",
    "def add(a, b):\n    return a + b",
    "Why does my phone not charge overnight?",
    "great product, would buy again!!!",
    "The river rose three metres in two days; the old bridge did not hold.",
    "URGENT: server down since 03:12, see log",
    "thanks, see you tomorrow :)",
    "Chapter 4. Of the customs of the islanders and their ships",
    "Add two eggs, 200 g of flour and a pinch of salt.",
    "Parliament votes on pension reform after weeks of protest",
    "I'm not sure that's what she meant, but let's ask her.",
    "https://example.org/index.html?id=7",
)
"""Texts of many kinds. Whoever changes them changes all vectors: fingerprints must then tell old ones from new."""


class LanguageModelStates(nn.Module):
    """Reads tokens as far as one layer of a language model; its last norm and standard scores come after.

    The layers behind are dropped: they cost neither time nor memory.

    Args:
        model: Decoder-only; it is taken apart.
        reader: Reads the texts whose mean and spread scores are made with.
        layer: How many of its layers are kept, at least one.
    """

    def __init__(self, model: PreTrainedModel, reader: TextReader, *, layer: int) -> None:
        super().__init__()
        self.body = _first_layers(model, layer).eval()
        self.center: Tensor
        self.spread: Tensor
        before, after = reader.frame
        means = self._means([[*before, *row, *after] for row in reader.ids(PROBE)])
        spread = means.std(dim=0, correction=0)
        # Made anew with the model, and so in no checkpoint.
        self.register_buffer("center", means.mean(dim=0), persistent=False)
        self.register_buffer("spread", spread.clamp(min=1e-3 * float(spread.mean())), persistent=False)

    @property
    def config(self) -> PreTrainedConfig:
        """The language model's own configuration."""
        config: PreTrainedConfig = self.body.config.get_text_config()
        return config

    @property
    def device(self) -> torch.device:
        """Where the language model stands."""
        return torch.device(self.body.device)

    def forward(
        self, input_ids: Int[Tensor, "texts tokens"], attention_mask: Int[Tensor, "texts tokens"]
    ) -> BaseModelOutput:
        """Give each token's state in standard scores, as ``last_hidden_state``; padding is on the right."""
        return BaseModelOutput(last_hidden_state=(self._states(input_ids, attention_mask) - self.center) / self.spread)

    def _states(self, tokens: Int[Tensor, "texts tokens"], mask: Tensor) -> Float[Tensor, "texts tokens dim"]:
        states: Tensor = self.body(input_ids=tokens, attention_mask=mask, use_cache=False).last_hidden_state
        return states.float()

    @torch.no_grad()
    def _means(self, texts: list[list[int]]) -> Float[Tensor, "texts dim"]:
        rows = [torch.tensor([row], device=self.device) for row in texts]
        with without_autocast(self.device):
            return torch.stack([self._states(row, torch.ones_like(row))[0].mean(dim=0) for row in rows])


def settled_layer(model: PreTrainedModel, layer: int) -> int:
    """Settle which layer's states are taken: the one that is asked for; for 0 the middle one.

    Raises:
        ConfigError: The model has fewer layers.
    """
    layers = _layers(model)
    if layer > layers:
        raise ConfigError(
            f"layer {layer} of a language model of {layers} layers", hint=f"1 to {layers}; 0 for the middle one"
        )
    return layer or (layers + 1) // 2


def _layers(model: PreTrainedModel) -> int:
    return int(model.config.get_text_config().num_hidden_layers)


def _first_layers(model: PreTrainedModel, count: int) -> PreTrainedModel:
    """Take a language model's body, without what predicts tokens, and drop the layers behind the first ``count``."""
    layers = _layers(model)
    body: PreTrainedModel = model.get_decoder()
    stacks = {name: child for name, child in body.named_children() if isinstance(child, nn.ModuleList)}
    found = [name for name, child in stacks.items() if len(child) == layers]
    if len(found) == 1:
        setattr(body, found[0], stacks[found[0]][:count])
        return body
    raise ConfigError(
        f"the {layers} layers of this {model.config.model_type} model cannot be told apart",
        hint="give a language model of another kind, or an encoder such as minilm",
    )
