"""What the commands do, for Python: index a log, train on it, build a method, evaluate it.

Nothing here knows a screen: who wants to see how far the work is hands in a ``Progress`` (``progress.py``).
"""
