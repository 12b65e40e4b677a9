"""What is sent to vLLM and what comes back: embeddings out, a stream of text back.

The request is that of https://docs.vllm.ai/en/stable/features/prompt_embeds/: a completion whose ``prompt_embeds`` is a
tensor ``[tokens, llm_dim]``, saved by PyTorch and written in base64. Such a thing is sent here, and never read.
"""

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from personaplug.errors import PersonaPlugError
from personaplug.serving.engine.request import EngineRequest

_PLAIN = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
"""Said because a server may take other values from the model's ``generation_config.json``."""


class UpstreamError(PersonaPlugError):
    """The server that this one passes questions to does not answer them."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer.

    Attributes:
        text: What was written since the last part.
        ending: Why the answer ended with this part; None before.
        tokens: How many the whole answer has, its end included; None before all is said.
    """

    text: str = ""
    ending: Literal["stop", "length"] | None = None
    tokens: int | None = None


def write_body(row: Tensor, request: EngineRequest, *, model: str) -> bytes:
    """Write a request; embeddings of thousands of tokens take tens of milliseconds.

    Args:
        row: The question as the language model reads it, ``[tokens, llm_dim]``.
        request: How to decode, and where to stop.
        model: The name that the server is to answer by: the language model's, or an adapter's beside it.
    """
    config, row = request.config, row.detach().cpu().contiguous()
    is_sampled = config.strategy == "sample"
    fields = {
        "model": model,
        "prompt_embeds": _encoded(row),
        "cache_salt": _salt(row, model),
        "max_tokens": config.max_new_tokens,
        "temperature": config.temperature if is_sampled else 0.0,
        "top_p": config.top_p if is_sampled else 1.0,
        "seed": config.seed,
        "stop": list(request.stops),
        "stream": True,
        "stream_options": {"include_usage": True},
        **_PLAIN,
    }
    return json.dumps(fields).encode()


def read_piece(data: bytes) -> Piece:
    """Read one event of a stream.

    Raises:
        UpstreamError: It tells of a failure, or is none.
    """
    try:
        event: Mapping[str, Any] = json.loads(data)
        if "error" in event:
            raise UpstreamError("the language model's server failed on the way")
        choices, usage = event["choices"], event.get("usage")
        tokens = usage["completion_tokens"] if usage else None
        if not choices:
            return Piece(tokens=tokens)
        ending = choices[0].get("finish_reason")
        if ending not in (None, "stop", "length"):
            raise UpstreamError("the language model's server has given up an answer")
        return Piece(choices[0].get("text") or "", ending, tokens)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UpstreamError("the language model's server answers in no form of OpenAI's") from error


def _encoded(row: Tensor) -> str:
    """Write a tensor as vLLM reads it."""
    buffer = io.BytesIO()
    torch.save(row.clone(), buffer)  # a clone: of a view the whole storage would be saved
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def _salt(row: Tensor, model: str) -> str:
    """Name the input with its persona and who reads them, so that no other request shares what the server keeps of it.

    vLLM 0.32 tells kept prefixes apart by embeddings and adapter, earlier ones by token ids, which embeddings do not
    have. The salt stays for both: a prefix that two tenants shared would show one by the time what the other asked.
    """
    return hashlib.sha256(model.encode() + b"\0" + row.float().numpy().tobytes()).hexdigest()
