"""Profiles with their vectors: fetch, append, forget; a memory-mapped snapshot for training."""

from personaplug.store.bank import Bank
from personaplug.store.base import StoreLayout, VectorSource, text_hash
from personaplug.store.indexing import IndexCounts, index
from personaplug.store.persona_store import PersonaStore, UserSummary

__all__ = ["Bank", "IndexCounts", "PersonaStore", "StoreLayout", "UserSummary", "VectorSource", "index", "text_hash"]
