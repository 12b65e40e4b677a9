"""What one tenant has asked, and that nobody can tell it from how long an answer takes."""

from personaplug.embedder.encoder import TextEncoder


def test_what_another_has_asked_is_encoded_like_anything_else(server, http, monkeypatch):
    encoded = []
    encode = TextEncoder.encode
    monkeypatch.setattr(TextEncoder, "encode", lambda self, texts: encoded.extend(texts) or encode(self, texts))
    asked = {"model": "llama", "user": "ada", "prompt": "a secret of the shop", "max_tokens": 1}
    for caller in ("acme", "other"):
        assert http.post("/v1/completions", json=asked, headers=server.headers(caller)).status_code == 200
    assert len(encoded) == 2
