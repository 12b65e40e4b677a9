"""The name under which :class:`PersonaStore` was imported when a store was always a file of SQLite's."""

from personaplug.store.persona_store import PersonaStore, UserSummary

__all__ = ["PersonaStore", "UserSummary"]
