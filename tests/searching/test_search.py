"""A search from its beginning to its end: killed, resumed, joined; and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import striate
from striate.errors import FitError, RunError, StriateError
from striate.predict.trained import load_trained
from striate.report.search import front
from striate.runs.folder import RunFolder
from striate.runs.search import SearchFolder, SearchRecord
from striate.searching import search as module
from striate.searching.database import Database
from striate.searching.search import find_search
from striate.searching.stage import widened_space
from striate.searching.worker import FEWEST
from striate.training.loop.loop import Stopped
from training.drawn import write_arrays
from training.jobs import Ear

NET = "conv ?(2, 4) 3x3 -> relu -> ?(maxpool 2, avgpool 2) -> fc classes"
KEYS: dict[str, Any] = {
    "net": NET, "epochs": 18, "trials": 9, "device": "cpu", "batch": 16, "precision": "fp32",
    "layout": "channels_last", "augment": "none", "learning_rate": "?(0.0001 .. 0.1)",
}  # fmt: skip


def plain(record: SearchRecord) -> list[dict[str, Any]]:
    """What has to be the same however often a search was stopped."""
    return [each.model_dump(exclude={"seconds", "note"}) for each in record.trials]


@pytest.fixture(scope="module")
def searched(
    arrays: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SearchFolder, SearchRecord, Ear]:
    folder, ear = tmp_path_factory.mktemp("search") / "s", Ear()
    record = striate.search(arrays, out=folder, watch=ear, **KEYS)
    return SearchFolder(folder), record, ear


def test_a_search(searched: tuple[SearchFolder, SearchRecord, Ear]) -> None:
    folder, record, ear = searched
    assert record.rungs == [12, 36, 108]
    assert [len(each.metrics) for each in record.trials].count(1) == 6
    # 9 of 1/9, 3 of 2/9 more, 2 of 2/3 more: 3, or less where a curve was ended.
    assert record.whole <= 9 / 9 + 3 * 2 / 9 + 2 * 2 / 3 + 1e-6
    best = next(each for each in record.trials if each.trial == record.best)
    assert best.steps == [12, 36, 108]
    assert record.validation == best.metrics[-1]
    assert record.test is not None
    assert folder.read_record() == record
    page = folder.report.read_text()
    assert "expected drop" in page
    assert "<script" not in page
    assert "search    9 trials on rungs of 2, 6, 18 epochs, the best third of each goes on" in ear.said
    assert any(each.startswith("rung 1    9 trials at 2 epochs, best ") for each in ear.said)
    # Only the winner was tested, and once.
    tested = [each for each in folder.trials.iterdir() if RunFolder(each).read_record().result is not None]
    assert tested == []


def test_the_winner_is_a_run_and_a_recipe(
    arrays: Path, searched: tuple[SearchFolder, SearchRecord, Ear], tmp_path: Path
) -> None:
    folder, record, _ = searched
    found = load_trained(folder.best)
    images = np.load(arrays)["x_test"][..., None]
    assert found.predict_arrays(images).shape == (30, 3)
    # As if it had been trained alone, in one go.
    again = striate.train(
        arrays, net=folder.best / "net.txt", recipe=str(folder.recipe), out=tmp_path / "alone", device="cpu"
    )
    for name in ("last.safetensors", "weights.safetensors", "events.jsonl"):
        assert (again.run.path / name).read_bytes() == (folder.best / name).read_bytes()
    result = again.run.read_record().result
    assert result is not None
    assert result.accuracy == record.test


def test_a_search_that_is_stopped_goes_on(
    arrays: Path, searched: tuple[SearchFolder, SearchRecord, Ear], tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    with pytest.raises(Stopped) as caught:
        striate.search(arrays, out=folder, watch=Ear(stop_at=40), **KEYS)
    assert str(caught.value) == (f"stopped; every trial is saved\n  try: striate search --resume {folder}")
    stops = 1
    while True:
        try:
            record = striate.search(resume=folder, device="cpu", watch=Ear(stop_at=90))
            break
        except Stopped:
            stops += 1
    assert stops > 1
    assert plain(record) == plain(searched[1])
    assert (record.best, record.validation, record.test) == (
        searched[1].best, searched[1].validation, searched[1].test,
    )  # fmt: skip
    assert (folder / "best" / "last.safetensors").read_bytes() == (
        searched[0].best / "last.safetensors"
    ).read_bytes()


def test_a_trial_of_a_dead_worker_is_taken_over(
    arrays: Path, whole: tuple[Path, SearchRecord], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended behind its checkpoint, before it could note what came out."""
    folder = tmp_path / "s"

    class Killed(BaseException):
        pass

    def killed(*_: Any, **__: Any) -> bool:
        raise Killed

    keys = {**KEYS, "trials": 3}
    with monkeypatch.context() as patch:
        patch.setattr(Database, "finish", killed)
        with pytest.raises(Killed):
            striate.search(arrays, out=folder, **keys)
    url, name = find_search(folder)
    (left,) = Database(url, name).rungs()
    assert left.state == "leased"
    # The lease is of this process, which lives: somebody else has to wait until it runs out.
    assert left.expires is not None
    monkeypatch.setattr("striate.searching.worker.is_abandoned", lambda rung: rung.state == "leased")
    record = striate.search(resume=folder, device="cpu")
    assert len(record.trials) == 3
    assert {each.token for each in Database(url, name).rungs() if each.trial == 0 and each.rung == 0} == {2}
    assert plain(whole[1]) == plain(record)


def test_a_checkpoint_that_is_elsewhere_starts_over(
    arrays: Path, whole: tuple[Path, SearchRecord], tmp_path: Path
) -> None:
    keys = {**KEYS, "trials": 3}
    with pytest.raises(Stopped):
        striate.search(arrays, out=tmp_path / "s", watch=Ear(stop_at=60), **keys)
    url, _ = find_search(tmp_path / "s")
    ear = Ear()
    record = striate.search(join=url, out=tmp_path / "other", device="cpu", watch=ear)
    assert plain(whole[1]) == plain(record)
    assert (tmp_path / "other" / "best" / "last.safetensors").read_bytes() == (
        whole[0] / "best" / "last.safetensors"
    ).read_bytes()


def test_other_data_are_refused(
    arrays: Path, searched: tuple[SearchFolder, SearchRecord, Ear], tmp_path: Path
) -> None:
    other = write_arrays(tmp_path / "other.npz", train=90)
    with pytest.raises(StriateError) as caught:
        striate.search(other, resume=searched[0].path, device="cpu")
    assert str(caught.value) == (
        f"{other}: the data are not those that the search began with\n"
        f"  expected: the images, labels and splits of {arrays}\n"
        "  try: --data WHERE THEY ARE; or striate search, which begins another one"
    )


def test_optuna_reads_the_search(searched: tuple[SearchFolder, SearchRecord, Ear]) -> None:
    import optuna

    url, name = find_search(searched[0].path)
    study = optuna.load_study(study_name=name, storage=url)
    assert len(study.trials) == 9
    assert study.best_trial.user_attrs["trial"] == searched[1].best
    assert study.best_value == searched[1].validation
    states = [each.state.name for each in study.trials]
    whole = sum(len(each.metrics) == 3 for each in searched[1].trials)
    assert (states.count("COMPLETE"), states.count("PRUNED")) == (whole, 9 - whole)


def test_limits_of_the_plan(arrays: Path, tmp_path: Path) -> None:
    record = striate.search(arrays, out=tmp_path / "s", **{**KEYS, "trials": 4}, weights_at_most=300)
    # conv 4: 40 + 4 * 36 * 3 + 3 weights are too many.
    assert {each.values["net.conv.channels"] for each in record.trials} == {"2"}
    assert all(each.cost["weights"] <= 300 for each in record.trials)
    assert sum(record.refused.values()) > 0


REFUSED = [
    ({"weights_at_most": 100}, FitError, "--weights-at-most: none of 200 trials that were drawn can be trained; "
     "the last: it has 4"),
    ({"net": "conv ?(2, 4) 15x15 valid -> fc classes"}, FitError, ": none of 200 trials that were drawn can be "
     "trained; the last: the 15x15 window does not fit"),
    ({"budget_s": 0.001, "precision": "auto"}, StriateError, "--budget: one training takes "),
    ({"trials": 0}, StriateError, "search: --trials cannot be 0\n  expected: 1 or more\n  try: --trials 16"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "kind", "said"), REFUSED, ids=["weights", "window", "budget", "trials"])
def test_a_search_that_cannot_be(
    arrays: Path, tmp_path: Path, change: dict[str, Any], kind: type[StriateError], said: str
) -> None:
    with pytest.raises(kind) as caught:
        striate.search(arrays, out=tmp_path / "s", **{**KEYS, **change})
    assert said in str(caught.value)


def test_a_database_without_a_search(tmp_path: Path, arrays: Path) -> None:
    url = f"sqlite:///{tmp_path / 'none.db'}"
    with pytest.raises(StriateError, match="there is no such file"):
        striate.search(join=url)
    assert not (tmp_path / "none.db").exists()
    (tmp_path / "none.db").touch()
    with pytest.raises(StriateError) as caught:
        striate.search(join=url)
    assert caught.value.problem == "there is no search in this database"
    with pytest.raises(StriateError, match="is not the address of a database"):
        striate.search(arrays, out=tmp_path / "s", storage="nonsense")
    with pytest.raises(FitError) as misfit:
        striate.search(arrays, out=tmp_path / "s", net="fc classes", weights_at_most=10)
    assert str(misfit.value) == "--weights-at-most: it has 435 weights\n  expected: at most 10"
    assert not (tmp_path / "s").exists()


def test_a_folder_that_is_in_use(searched: tuple[SearchFolder, SearchRecord, Ear], arrays: Path) -> None:
    with pytest.raises(RunError) as caught:
        striate.search(arrays, out=searched[0].path, **KEYS)
    assert str(caught.value) == (
        f"{searched[0].path}: there is something in this folder already\n"
        "  expected: a new folder for the search\n"
        f"  try: striate search --resume {searched[0].path}, or another --out"
    )


def test_where_everything_diverges(arrays: Path, tmp_path: Path) -> None:
    keys = {**KEYS, "trials": 3, "optimizer": "sgd", "clip": "none", "learning_rate": "?(90 .. 100)"}
    with pytest.raises(StriateError) as caught:
        striate.search(arrays, out=tmp_path / "s", **keys)
    assert str(caught.value) == (
        "search: none of 3 trials came to its end: all diverged\n"
        "  expected: a space of which some trials learn\n"
        '  try: --set "learning_rate=?(0.0001 .. 0.01)"'
    )


def test_a_text_with_holes_is_searched_and_not_trained(arrays: Path, tmp_path: Path) -> None:
    with pytest.raises(FitError) as caught:
        striate.train(arrays, net=NET, out=tmp_path / "r")
    assert "striate search" in caught.value.cure


def test_the_front_of_accuracy_and_cost(searched: tuple[SearchFolder, SearchRecord, Ear]) -> None:
    kept = front(searched[1].trials, "multiply_adds")
    assert kept
    for each in kept:
        better = [
            other for other in searched[1].trials
            if other.cost["multiply_adds"] <= each.cost["multiply_adds"] and other.metrics[-1] > each.metrics[-1]
        ]  # fmt: skip
        assert better == []


def test_a_best_at_the_edge_widens_its_range(
    searched: tuple[SearchFolder, SearchRecord, Ear], tmp_path: Path
) -> None:
    url, name = find_search(searched[0].path)
    ear = Ear()
    search = module.join_search(url, name, searched[0], source=None, device="cpu", watch=ear)
    search.database = Database(f"sqlite:///{tmp_path / 'other.db'}", name)
    for at in range(16):
        values = {"learning_rate": 0.0001 * 1000 ** (at / 15), "net.conv.channels": "2", "net.step": "1"}
        held = search.database.add_trial(at, 0, values, {}, 6, "w:1:x")
        assert held is not None
        search.database.finish(held, state="done", metric=at / 16, accuracy=0, loss=0, seconds=1)
    for _ in range(2):
        space = widened_space(search, search.database.trials(), search.database.rungs())
        assert space.parameters[0].high == pytest.approx(0.3)
    assert ear.said == [
        "          learning_rate: the best lie at the upper edge of 0.0001 to 0.1, by ratio; "
        "widened to 0.0001 to 0.3, by ratio"
    ]


@pytest.fixture(scope="module")
def whole(arrays: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SearchRecord]:
    """A search of three trials that nothing happened to."""
    out = tmp_path_factory.mktemp("whole") / "s"
    return out, striate.search(arrays, out=out, **{**KEYS, "trials": 3})


def test_a_budget_ends_it(arrays: Path, tmp_path: Path) -> None:
    """Under a budget the number of trials is what time allows; the best still comes to its end."""
    keys = {key: value for key, value in KEYS.items() if key != "trials"}
    record = striate.search(arrays, out=tmp_path / "s", budget_s=6, **keys)
    assert len(record.trials) >= FEWEST
    assert next(each for each in record.trials if each.trial == record.best).steps[-1] == 108
