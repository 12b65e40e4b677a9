"""Logs in, examples out: connectors, splits that keep time, and an audit of both."""
