from tests.cli.conftest import models, place  # noqa: F401 (fixtures)
