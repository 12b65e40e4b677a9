from tests.world import examples, family, models, store  # noqa: F401 (fixtures)
