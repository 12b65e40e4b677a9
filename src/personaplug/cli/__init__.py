"""The command line: one file a command, and :mod:`personaplug.workflows.methods`, which turns words into objects."""
