"""Why a training learned or did not, and whether images can be learned at all."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from striate.api.networks import NetText, read
from striate.api.trainings import begin_with
from striate.data.decode.size import Size
from striate.errors import require_train

if TYPE_CHECKING:
    from striate.doctor.finding import Diagnosis
    from striate.doctor.first_look import FirstLook
    from striate.progress import Watch


def diagnose(
    target: str | Path,
    *,
    probe: bool = False,
    net: str | Path | NetText | None = None,
    size: Size | None = None,
    mute: Collection[str] = (),
    device: str | None = None,
) -> Diagnosis:
    """Why a run learned or did not; or what a minute with DATA says (see the command `doctor`).

    target: a run, or data.  probe: make experiments with a run's network and images as well.  net, size: of data, the
    network to try and the size of the images.  mute: codes to leave out.

    Raises RunError, DataError, StriateError for a code that there is not.
    """
    from striate.doctor.doctor import diagnose_run, require_codes
    from striate.doctor.first_look import judge

    require_codes(mute)
    if is_data(target):
        return judge(look_at(target, net=net, size=size, device=device)).without(mute)
    facts, found = diagnose_run(target, mute=mute)
    if not probe:
        return found
    require_train("doctor --probe")
    from striate.progress import Silence
    from striate.training.probe import probe_run

    return found.joined(probe_run(facts.run, device=device, watch=Silence()).without(mute))


def is_data(target: str | Path) -> bool:
    """Whether DATA is meant, and not a run: something that is there and holds no run.json."""
    from striate.data.formats.builtin import BUILT_IN
    from striate.runs.folder import ROOT

    path = Path(target)
    if path.name == "latest" or any((each / "run.json").is_file() for each in (path, ROOT / path)):
        return False
    return path.exists() or str(target) in BUILT_IN


def look_at(
    data: str | Path,
    *,
    net: str | Path | NetText | None = None,
    size: Size | None = None,
    device: str | None = None,
    watch: Watch | None = None,
) -> FirstLook:
    """What a minute with DATA measures, as `diagnose` judges it."""
    require_train("doctor DATA")
    from striate.progress import Silence
    from striate.training.first_look import first_look

    keys = {} if size is None else {"size": size}
    text, chosen = begin_with(None if net is None else read(net), None, keys)
    return first_look(
        data,
        network=None if text is None else text.network,
        recipe=chosen,
        device=device,
        watch=watch or Silence(),
    )
