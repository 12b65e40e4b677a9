"""Pages out of templates, in which every text is escaped."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment(folder: str) -> Environment:
    """Make what loads the templates in a folder of this package; a name that nobody gave is an error."""
    return Environment(
        loader=PackageLoader("personaplug", folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
