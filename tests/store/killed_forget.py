"""A forget whose process is killed once the rows are deleted, before their remains are wiped out."""

import subprocess
import sys

SCRIPT = """
import os, signal, sys
from personaplug.store import persona_store
persona_store.wipe_remains = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
persona_store.PersonaStore.open(sys.argv[1]).forget("bob-marley")
"""


def killed_before_wiping(address):
    """Run it on a store; give the exit code."""
    return subprocess.run([sys.executable, "-c", SCRIPT, address], check=False).returncode
