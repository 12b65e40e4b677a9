"""What a request's answer looks like, for the description of the API: an example of each kind."""

from typing import Any

_USED = {"prompt_tokens": 21, "completion_tokens": 5, "total_tokens": 26}

RESPONSES: dict[str, dict[str, Any]] = {
    "ChatResponse": {
        "id": "chatcmpl-6f1c9a0be2d84c7f93a15b20",
        "object": "chat.completion",
        "created": 1767225600,
        "model": "headlines",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Harbour at night", "refusal": None},
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": _USED,
    },
    "CompletionResponse": {
        "id": "cmpl-0d3be771f5a94d6c8e42c911",
        "object": "text_completion",
        "created": 1767225600,
        "model": "headlines",
        "choices": [{"index": 0, "text": "Harbour at night", "finish_reason": "stop", "logprobs": None}],
        "usage": _USED,
    },
    "ModelCard": {"id": "headlines", "object": "model", "created": 1767225600, "owned_by": "personaplug"},
    "ModelList": {
        "object": "list",
        "data": [{"id": "headlines", "object": "model", "created": 1767225600, "owned_by": "personaplug"}],
    },
    "PersonaResponse": {
        "user": "ada",
        "items": 42,
        "first": "2023-02-11T08:15:00Z",
        "last": "2024-05-01T12:30:00Z",
        "encoder": "minilm@83aaebc5c36d|mean|256 tokens|float32",
        "history": None,
    },
    "HistoryResponse": {"user": "ada", "new_items": 1, "items": 43},
    "ForgetResponse": {"user": "ada", "items": 43},
    "ExplainResponse": {
        "user": "ada",
        "model": "headlines",
        "memories": [
            {
                "id": "2024-05-01-1",
                "time": "2024-05-01T12:30:00Z",
                "weight": 0.31,
                "weights": [0.35, 0.29, 0.33, 0.27],
                "similarity": 0.82,
                "age_days": 3.5,
                "is_in_prompt": False,
                "input": None,
                "output": None,
            }
        ],
        "items": 43,
    },
    "ErrorBody": {
        "error": {
            "message": "Nothing is known of this user.",
            "type": "invalid_request_error",
            "param": "user",
            "code": "user_not_found",
        }
    },
    "Health": {"status": "ready"},
}
"""By the name of their schema."""
