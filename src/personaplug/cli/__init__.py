"""The command line: one file a command, and :mod:`personaplug.cli.wiring`, which turns words into objects."""
