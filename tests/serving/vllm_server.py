"""A small server that takes completions of prompt embeddings as vLLM's documentation says, and runs a tiny model.

https://docs.vllm.ai/en/stable/features/prompt_embeds/: ``prompt_embeds`` is a tensor ``[tokens, hidden size]``, saved
by PyTorch and written in base64; no chat template is applied; a cache salt, if there is one, must not be empty.
"""

import asyncio
import base64
import io
import json
import threading
from contextlib import contextmanager

import torch
import uvicorn
from peft import PeftModel
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from transformers import AutoModelForCausalLM, AutoTokenizer

from personaplug.ports import address_of
from tests.serving.running import in_thread


class VllmLike:
    """Answers as vLLM does, and does wrong what it is told to.

    Attributes:
        url: Its address.
        bodies: Of all completions, as they came.
        left: Completions whose client went away before their end.
        refuse: The status that completions get, in place of an answer; 0 for none.
        sign: Put before each answer.
        break_after: Pieces after which completions break off; none where negative.
        pause: Seconds between pieces.
        loras: Models with an adapter beside them, by the names that these were loaded under.
        takes_loras: Whether it loads adapters while it runs.
        most: Answers that were under way at once.
    """

    def __init__(self, folder: str, *, name: str, key: str, positions: int = 512) -> None:
        self.folder, self.name, self.key, self.positions = folder, name, key, positions
        self.model = AutoModelForCausalLM.from_pretrained(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.url = ""
        self.loras: dict[str, PeftModel] = {}
        self._loading = asyncio.Lock()
        self.bodies: list[dict] = []
        self.left = self.most = self._under_way = 0
        self._one_at_a_time = threading.Lock()
        self.do_well()

    def do_well(self) -> None:
        """Do nothing wrong from now on, and forget what was asked."""
        self.takes_loras = True
        self.refuse, self.break_after, self.pause, self.sign = 0, -1, 0.0, ""
        self.bodies.clear()
        self.most = 0

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/completions", self._complete, methods=["POST"]),
                Route("/v1/models", self._models),
                Route("/v1/load_lora_adapter", self._load, methods=["POST"]),
                Route("/health", self._health),
            ]
        )

    async def _models(self, _):
        card = {"id": self.name, "root": self.folder, "max_model_len": self.positions}
        loras = [{"id": name, "root": each.folder, "parent": self.name} for name, each in self.loras.items()]
        return JSONResponse({"object": "list", "data": [card, *loras]})

    async def _load(self, request):
        """https://docs.vllm.ai/en/stable/features/lora/: there is no such route unless the server was started so."""
        body = await request.json()
        if not self.takes_loras:
            return JSONResponse({"detail": "Not Found"}, status_code=404)
        async with self._loading:  # as vLLM does; and transformers loads no two models at once in a process
            if body["lora_name"] in self.loras:
                error = {"message": f"The lora adapter '{body['lora_name']}' has already been loaded.", "code": 400}
                return JSONResponse({"error": error}, status_code=400)
            await run_in_threadpool(self.load, body["lora_name"], body["lora_path"])
        return Response()

    def load(self, name, folder):
        """Put an adapter beside a copy of the model."""
        model = AutoModelForCausalLM.from_pretrained(self.folder)
        self.loras[name] = PeftModel.from_pretrained(model, folder)
        self.loras[name].folder = str(folder)

    async def _health(self, _):
        return Response(status_code=503 if self.refuse else 200)

    async def _complete(self, request):
        body = await request.json()
        self.bodies.append(body)
        is_known = not self.key or request.headers.get("authorization") == f"Bearer {self.key}"
        status = self.refuse if is_known else 401
        if status:
            return JSONResponse({"error": {"message": "no", "code": status}}, status_code=status)
        assert body["model"] in {self.name, *self.loras}
        assert body.get("cache_salt", "salt")
        texts, ending, tokens = await run_in_threadpool(self._written, body)
        return StreamingResponse(self._events(texts, ending, tokens), media_type="text/event-stream")

    def _written(self, body):
        """Answer greedily; give the text after each token, why it ended, and how many tokens it has."""
        embeds = decode(body["prompt_embeds"], width=self.model.config.hidden_size)
        assert len(embeds) + body["max_tokens"] <= self.positions
        words = {"max_new_tokens": body["max_tokens"], "do_sample": False, "pad_token_id": 0}
        with self._one_at_a_time, torch.inference_mode():
            model = self.loras.get(body["model"], self.model)
            ids = model.generate(inputs_embeds=embeds[None], **words)[0].tolist()
        texts = [self.sign + self.tokenizer.decode(ids[: end + 1], skip_special_tokens=True) for end in range(len(ids))]
        for end, text in enumerate(texts):
            if places := [text.index(stop) for stop in body["stop"] if stop in text]:
                return [*texts[:end], text[: min(places)]], "stop", end + 1
        return texts, "stop" if ids[-1] == self.tokenizer.eos_token_id else "length", len(ids)

    async def _events(self, texts, ending, tokens):
        sent, is_whole = "", False
        self._under_way += 1
        self.most = max(self.most, self._under_way)
        try:
            for at, text in enumerate(texts):
                if at == self.break_after:
                    return
                is_last = at == len(texts) - 1
                whole_signs = text if is_last else text.rstrip("\N{REPLACEMENT CHARACTER}")
                yield _event([{"text": whole_signs[len(sent) :], "finish_reason": ending if is_last else None}])
                sent = whole_signs
                await asyncio.sleep(self.pause)
            yield _event([], usage={"prompt_tokens": 1, "completion_tokens": tokens})
            yield b"data: [DONE]\n\n"
            is_whole = True
        finally:
            self.left += not is_whole
            self._under_way -= 1


def decode(text: str, *, width: int) -> torch.Tensor:
    """Read prompt embeddings as vLLM does: base64 without other signs, weights only, of the model's width."""
    raw = base64.b64decode(text.encode("ascii"), validate=True)
    tensor = torch.load(io.BytesIO(raw), weights_only=True, map_location="cpu")
    assert isinstance(tensor, torch.Tensor)
    assert tensor.dtype in (torch.float32, torch.bfloat16, torch.float16)
    assert tensor.dim() == 2
    assert tensor.shape[1] == width
    return tensor


@contextmanager
def vllm_like(folder: str, *, name: str, key: str = ""):
    """Serve a model's folder under a name, in a thread of this process."""
    fake = VllmLike(folder, name=name, key=key)
    config = uvicorn.Config(fake.app, log_config=None, lifespan="off", port=0)
    with config.bind_socket() as socket:
        fake.url = address_of(socket)
        with in_thread(uvicorn.Server(config), socket):
            yield fake


def _event(choices, **more):
    words = {"id": "cmpl-1", "choices": choices, **more}
    return b"data: " + json.dumps(words, ensure_ascii=False).encode() + b"\n\n"  # unescaped, as vLLM's are
