"""A store's tables in a schema of a Postgres database; needs the extra ``postgres``."""
