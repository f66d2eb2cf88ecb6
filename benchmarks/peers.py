"""The environment of the peers: made once, with the versions of peers.txt, apart from striate's own.

    python benchmarks/peers.py [--peers DIR]

It takes about 8 GB: torchvision, timm and fastai want a build of torch for CUDA.  Without --peers it lies in
$STRIATE_PEERS, or in benchmarks/.peers, which git ignores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "peers.txt"


def peers_folder() -> Path:
    """Where the environment lies unless it is said."""
    return Path(os.environ.get("STRIATE_PEERS") or HERE / ".peers")


def peers_python(folder: Path) -> Path:
    """The Python of the peers' environment, which is made where it is not there yet, or is of other versions."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "installed.txt"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if done.exists() and done.read_text(encoding="utf-8").startswith(wanted):
        return python
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    print("installing the peers, which takes minutes and 8 GB", file=sys.stderr)
    missing = []
    if subprocess.run([*pip, "-r", str(REQUIREMENTS)]).returncode:
        # One that does not install here must not keep the others away.
        for line in requirements():
            if subprocess.run([*pip, line]).returncode:
                missing.append(line)
    done.write_text(wanted + "".join(f"# did not install: {line}\n" for line in missing), encoding="utf-8")
    return python


def requirements() -> list[str]:
    """The lines of peers.txt that name a package."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def peers_versions(python: Path) -> dict[str, str]:
    """The versions that are installed there; `missing` for what is not."""
    code = (
        "import importlib.metadata as m, json, sys\n"
        "def v(name):\n"
        "    try: return m.version(name)\n"
        "    except m.PackageNotFoundError: return 'missing'\n"
        "print(json.dumps({name: v(name) for name in sys.argv[1:]}))"
    )
    names = [line.split("==")[0] for line in requirements()]
    done = subprocess.run([str(python), "-c", code, *names], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def main() -> None:
    """Make the environment and tell what is in it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, default=peers_folder(), metavar="DIR")
    for name, version in peers_versions(peers_python(parser.parse_args().peers)).items():
        print(f"{name:16} {version}")


if __name__ == "__main__":
    main()
