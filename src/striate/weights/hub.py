"""Files of the Hugging Face hub, by its own library and in its own cache."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from striate.data.files.finding import told
from striate.errors import MissingExtra
from striate.silence import no_reports
from striate.version import __version__
from striate.weights.error import WeightsError

if TYPE_CHECKING:
    from types import ModuleType

# (bytes so far, bytes in all or None where the server does not say)
Progress = Callable[[int, int | None], None]

_ADDRESS = re.compile(r"(?P<repository>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>[\w.-]+))?(?:/(?P<file>[^@]+))?")
_FORM = "hf:OWNER/NAME, hf:OWNER/NAME@REVISION or hf:OWNER/NAME/FILE"

# What is taken where no file is named, the best first.
_USUAL = ("model.safetensors", "pytorch_model.bin")
_ENDINGS = (".safetensors", ".pth", ".pt", ".th", ".bin")
_HASH = re.compile(r"[0-9a-f]{64}")


def fetch_from_hub(address: str, progress: Progress | None = None) -> tuple[Path, str | None]:
    """A file of the hub, and the SHA-256 that the hub has on record for it, if any.

    address: what stands behind `hf:`.
    Raises MissingExtra where huggingface_hub is not installed, WeightsError where there is no such file.
    """
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise WeightsError(
            f"`{address[:100]}` is no address of the hub",
            place=f"hf:{address[:100]}",
            expected=_FORM,
            cure="hf:timm/resnet18.a1_in1k",
        )
    hub = _library()
    repository, revision = found["repository"], found["revision"]
    name = found["file"]
    try:
        if name is not None:
            path = _get(hub, repository, name, revision, progress)
        else:
            path = _get_usual(hub, repository, revision, progress)
    except WeightsError:
        raise
    except Exception as problem:
        # The library raises its own errors, its transport's and the system's: they all mean that the file
        # did not come.
        raise _failed(hub, problem, f"hf:{address}") from None
    recorded = path.resolve().name
    return path, recorded if _HASH.fullmatch(recorded) else None


def _library() -> ModuleType:
    try:
        with no_reports():
            import huggingface_hub
    except ImportError:
        raise MissingExtra(
            "files of the Hugging Face hub are fetched by huggingface_hub, which is not installed",
            cure='pip install "striate[train]"',
        ) from None
    return huggingface_hub


def _get_usual(hub: ModuleType, repository: str, revision: str | None, progress: Progress | None) -> Path:
    try:
        return _get(hub, repository, _USUAL[0], revision, progress)
    except hub.errors.LocalEntryNotFoundError:
        # The hub cannot be reached; what it has is not known.
        raise
    except hub.errors.EntryNotFoundError:
        pass
    files = hub.HfApi().list_repo_files(repository, revision=revision)
    able = [name for name in files if name.endswith(_ENDINGS)]
    names = [name for name in _USUAL if name in able] or able
    if len(names) != 1:
        said = ", ".join(names[:5]) if names else "none that ends in " + ", ".join(_ENDINGS)
        raise WeightsError(
            f"the repository has {len(names)} files of weights: {said}"
            if names
            else f"of its files there is {said}",
            place=f"hf:{repository}",
            expected="one file of weights, or the name of one",
            cure=f"hf:{repository}/{names[0]}" if names else f"another than {repository}",
        )
    return _get(hub, repository, names[0], revision, progress)


def _get(
    hub: ModuleType, repository: str, name: str, revision: str | None, progress: Progress | None
) -> Path:
    return Path(
        hub.hf_hub_download(
            repository,
            name,
            revision=revision,
            library_name="striate",
            library_version=__version__,
            tqdm_class=_bar(hub, progress),
        )
    )


def _bar(hub: ModuleType, progress: Progress | None) -> type:
    """The library's progress bar with nothing to see, which tells `progress` instead."""

    class Bar(hub.utils.tqdm):  # type: ignore[misc, name-defined]
        # The library passes what tqdm takes; only three of it matter here.
        def __init__(self, *given: Any, **named: Any) -> None:
            self.done, self.whole = int(named.get("initial") or 0), named.get("total")
            super().__init__(*given, **{**named, "disable": True})

        def update(self, n: float | None = 1) -> None:
            self.done += int(n or 0)
            if progress is not None:
                progress(self.done, None if self.whole is None else int(self.whole))

    return Bar


def _failed(hub: ModuleType, problem: Exception, place: str) -> WeightsError:
    errors = hub.errors
    if isinstance(problem, errors.GatedRepoError):
        return WeightsError(
            "its owner gives it to those only who ask",
            place=place,
            expected="a file that anyone may have, or a token of one who may",
            cure="ask on its page, then `hf auth login`",
        )
    if isinstance(problem, errors.RepositoryNotFoundError):
        return WeightsError(
            "there is no such repository",
            place=place,
            expected=_FORM,
            cure="check the name on huggingface.co",
        )
    if isinstance(problem, errors.RevisionNotFoundError):
        return WeightsError(
            "it has no such revision", place=place, expected=_FORM, cure="leave @REVISION out"
        )
    if isinstance(problem, errors.LocalEntryNotFoundError):
        return WeightsError(
            "the hub cannot be reached, and the file is not in the cache",
            place=place,
            expected="a way to huggingface.co, or the file in its cache",
            cure="check the network and HF_HUB_OFFLINE, or give a file's path",
        )
    if isinstance(problem, errors.EntryNotFoundError):
        return WeightsError(
            "the repository has no such file", place=place, expected=_FORM, cure="leave the file's name out"
        )
    return WeightsError(
        f"the hub did not give it: {told(problem)}",
        place=place,
        expected=_FORM,
        cure="the same command again, or a file's path",
    )
