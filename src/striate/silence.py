"""Packages that report their use by default, imported so that they do not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# ONNX Runtime writes a device id and a database below the home folder and looks up a host in every session; the
# Hugging Face client adds versions and the like to its requests.  Both read this when they are imported.
_SWITCHES = ("ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY")

# OpenVINO counts each import with this package, which has no switch but a file in the home folder; where it is
# not installed OpenVINO does without.
_REPORTER = "openvino_telemetry"


class _Refusal(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.split(".")[0] == _REPORTER:
            raise ModuleNotFoundError(f"{fullname} is kept away", name=fullname)
        return None


@contextmanager
def no_reports() -> Iterator[None]:
    """While this is entered, a package that reports its use to its maker is imported so that it does not.

    Every import of onnxruntime, openvino and huggingface_hub stands in it.  A variable that the user set stands.
    """
    for name in _SWITCHES:
        os.environ.setdefault(name, "1")
    refusal = _Refusal()
    sys.meta_path.insert(0, refusal)
    try:
        yield
    finally:
        sys.meta_path.remove(refusal)
