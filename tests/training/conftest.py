from tests.world import family, models, store  # noqa: F401 (fixtures)
