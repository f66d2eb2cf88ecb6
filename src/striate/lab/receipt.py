"""What a measurement leaves: its figures with where and how they were found, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from striate.disk.atomic import write_atomic
from striate.disk.small import read_small
from striate.errors import DataError
from striate.lab.claim import Finding, Verdict

FORMAT = 1
MOST_BYTES = 4_000_000

Words = Annotated[str, Field(max_length=2_000)]


class Receipt(BaseModel):
    """One claim, measured once.

    quick: it settles nothing.  seeds: how many.  data: what it was measured on, images: how many to train, validate
    and test on.  seconds: of the whole, what was kept from before included.  trainings: how many it stands on.
    commit: of the package, where the receipt is one of its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    claim: Words
    verdict: Verdict
    quick: bool
    seeds: Annotated[int, Field(ge=1, le=1000)]
    data: Words
    images: tuple[int, int, int]
    shape: tuple[int, int, int]
    date: Words
    seconds: Annotated[float, Field(ge=0)]
    trainings: Annotated[int, Field(ge=0)]
    machine: dict[str, Any]
    versions: dict[str, Any]
    commit: Words = ""
    finding: Finding


def write_receipt(path: Path, receipt: Receipt) -> None:
    """As people read it."""
    values = receipt.model_dump()
    values["finding"] = _rounded(asdict(receipt.finding))
    write_atomic(path, (json.dumps(values, indent=1, ensure_ascii=False) + "\n").encode())


def read_receipt(path: Path) -> Receipt:
    """A receipt, whole and checked.  Raises DataError."""
    try:
        return TypeAdapter(Receipt).validate_python(json.loads(read_small(path, MOST_BYTES)))
    except (OSError, ValueError, ValidationError, RecursionError) as error:
        first = str(error).split("\n", 1)[0]
        raise DataError(
            f"this is no receipt of a claim: {first}", place=str(path), expected="JSON as `striate lab` writes it",
            cure="striate lab NAME, which writes it",
        ) from None  # fmt: skip


def _rounded(value: Any) -> Any:
    """Numbers with six digits: more of them say nothing."""
    if isinstance(value, float):
        # JSON has no infinity: an interval of one seed has no ends.
        return float(f"{value:.6g}") if abs(value) < 1e300 else (1e300 if value > 0 else -1e300)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    return [_rounded(each) for each in value] if isinstance(value, list | tuple) else value
