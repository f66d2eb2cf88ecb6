"""A search from its beginning to its end: killed, resumed, joined; and what it refuses."""

from __future__ import annotations

import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import striate
from striate.errors import FitError, RunError, StriateError
from striate.net.layout.layout import Layout
from striate.net.notation.writer import write_text
from striate.net.plan.table import plan
from striate.predict.trained import load_trained
from striate.report.search import front
from striate.runs.folder import RunFolder
from striate.runs.search import SearchFolder, SearchRecord
from striate.searching import search as module
from striate.searching.checkpoints import Checkpoints
from striate.searching.database import Database
from striate.searching.search import find_search
from striate.searching.stage import widened_space
from striate.searching.worker import FEWEST
from striate.training.job import new_job
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
    # 9 of 1/9, 3 of 2/9 more, 2 or 3 of 2/3 more, or less where a curve was ended.
    assert record.whole <= 9 / 9 + 3 * 2 / 9 + 3 * 2 / 3 + 1e-6
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


@pytest.mark.parametrize(
    ("where", "note"),
    [
        (None, "started over: its checkpoint is not in this folder"),
        ("memory://{name}", None),
        ("{folder}", None),
        ("{folder}", "started over: its checkpoint is not in this folder, nor can it be had from {folder}: it is damaged"),
    ],
    ids=["nowhere", "memory", "folder", "damaged"],
)  # fmt: skip
def test_a_checkpoint_that_is_elsewhere(
    arrays: Path, whole: tuple[Path, SearchRecord], tmp_path: Path, where: str | None, note: str | None
) -> None:
    """A worker with another folder goes on with the trials of the first, where it finds their checkpoints."""
    names = {"folder": tmp_path / "shared", "name": tmp_path.name}
    checkpoints = None if where is None else where.format(**names)
    # Three trials come to step 36, and the two that go on to 108.
    with pytest.raises(Stopped):
        striate.search(
            arrays,
            out=tmp_path / "s",
            watch=Ear(stop_at=140),
            checkpoints=checkpoints,
            **{**KEYS, "trials": 3},
        )
    for each in names["folder"].rglob("*.zip") if note is not None and where is not None else ():
        each.write_bytes(each.read_bytes()[:-40])
    url, _ = find_search(tmp_path / "s")
    record = striate.search(join=url, out=tmp_path / "other", device="cpu")
    assert plain(whole[1]) == plain(record)
    expected = None if note is None else note.format(**names)
    assert [each.note for each in record.trials if len(each.steps) == 2] == [expected, expected]
    assert (tmp_path / "other" / "best" / "last.safetensors").read_bytes() == (
        whole[0] / "best" / "last.safetensors"
    ).read_bytes()


def test_a_damaged_checkpoint_starts_over(
    arrays: Path, whole: tuple[Path, SearchRecord], tmp_path: Path
) -> None:
    with pytest.raises(Stopped):
        striate.search(arrays, out=tmp_path / "s", watch=Ear(stop_at=140), **{**KEYS, "trials": 3})
    for each in (tmp_path / "s" / "trials").glob("*/state/*.safetensors"):
        each.write_bytes(each.read_bytes()[:-4])
    record = striate.search(resume=tmp_path / "s", device="cpu")
    assert plain(whole[1]) == plain(record)
    notes = [each.note for each in record.trials if len(each.steps) == 2]
    assert all(
        each is not None and each.startswith("started over: every checkpoint is damaged") for each in notes
    )


def test_other_data_are_refused(
    arrays: Path, searched: tuple[SearchFolder, SearchRecord, Ear], tmp_path: Path
) -> None:
    other = write_arrays(tmp_path / "other.npz", train=90)
    with pytest.raises(StriateError) as caught:
        striate.search(other, resume=searched[0].path, device="cpu")
    assert str(caught.value) == (
        f"{other}: the data are not those that the search began with\n"
        f"  expected: the images, labels and splits of {arrays}\n"
        "  try: the same command with the place of those images before its flags; or a new search, without --resume and "
        "--join"
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


def weighed(layout: Layout, device: torch.device) -> float:
    """A latency that is the same on every machine: a microsecond for each weight."""
    return plan(layout).weights * 1e-6


# conv 4 has 40 + 4 * 36 * 3 + 3 = 475 weights, conv 2 less; a convolution of 3,000,000 channels needs a terabyte.
LIMITS = [
    ({"weights_at_most": 300}, NET, "--weights-at-most"),
    ({"mult_adds_at_most": 4_000}, NET, "--mult-adds-at-most"),
    ({"memory_bytes": 8_000_000_000}, NET.replace("?(2, 4)", "?(2, 3000000)"), "--memory"),
    ({"latency_s": 300e-6}, NET, "--latency"),
]  # fmt: skip


@pytest.mark.parametrize(("limit", "net", "place"), LIMITS, ids=[next(iter(each[0])) for each in LIMITS])
def test_what_does_not_fit_is_dropped_by_the_plan(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: dict[str, Any], net: str, place: str
) -> None:
    made = []

    def counted(*arguments: Any, **keys: Any) -> Any:
        made.append(keys["network"])
        return new_job(*arguments, **keys)

    monkeypatch.setattr("striate.searching.trial.new_job", counted)
    monkeypatch.setattr("striate.searching.trial.latency_s", weighed)
    record = striate.search(arrays, out=tmp_path / "s", **{**KEYS, "net": net, "trials": 4}, **limit)
    assert {each.values["net.conv.channels"] for each in record.trials} == {"2"}
    # Of what was dropped nothing was made.
    assert len(made) == len(list((tmp_path / "s" / "trials").iterdir())) == 4
    assert all("conv 2" in write_text(each) for each in made)
    assert list(record.refused) == [place]
    assert record.refused[place] > 0


NONE_FITS = [
    ({"weights_at_most": 100},
     "--weights-at-most: none of 200 trials that were drawn can be trained; the last: it has 239 weights\n"
     "  expected: a text and a space of which some trials fit the images and the limits\n"
     "  try: --weights-at-most 239"),
    ({"mult_adds_at_most": 10},
     "--mult-adds-at-most: none of 200 trials that were drawn can be trained; the last: it has 2,808 multiply-adds\n"
     "  expected: a text and a space of which some trials fit the images and the limits\n"
     "  try: --mult-adds-at-most 2808"),
    ({"latency_s": 1e-6},
     "--latency: none of 200 trials that were drawn can be trained; the last: an image takes 0.239 ms\n"
     "  expected: a text and a space of which some trials fit the images and the limits\n"
     "  try: --latency 0.48ms"),
]  # fmt: skip


@pytest.mark.parametrize(("limit", "said"), NONE_FITS, ids=[next(iter(each[0])) for each in NONE_FITS])
def test_where_nothing_fits(
    arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: dict[str, Any], said: str
) -> None:
    monkeypatch.setattr("striate.searching.trial.latency_s", weighed)
    with pytest.raises(FitError) as caught:
        striate.search(arrays, out=tmp_path / "s", **{**KEYS, "net": NET.replace("?(2, 4)", "2")}, **limit)
    assert str(caught.value) == said
    assert not (tmp_path / "s").exists()


def test_a_limit_without_a_text_searches_small_ones(arrays: Path, tmp_path: Path) -> None:
    with pytest.raises(FitError) as caught:
        striate.search(arrays, out=tmp_path / "s", **{**KEYS, "net": None}, weights_at_most=100)
    assert "weights-at-most: none of 200 trials that were drawn can be trained; the last: it has " in str(
        caught.value
    )


REFUSED = [
    ({"net": "conv ?(2, 4) 15x15 valid -> fc classes"}, FitError, ": none of 200 trials that were drawn can be "
     "trained; the last: the 15x15 window does not fit"),
    ({"budget_s": 0.001, "precision": "auto"}, StriateError, "--budget: one training takes "),
    ({"patience": 3}, StriateError, "recipe: patience ends a training early, and the trials of a search are compared at "
     "one length\n  expected: a recipe without patience\n  try: --set patience=none"),
    ({"trials": 0}, StriateError, "search: --trials cannot be 0\n  expected: 1 or more\n  try: --trials 16"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "kind", "said"), REFUSED, ids=["window", "budget", "patience", "trials"])
def test_a_search_that_cannot_be(
    arrays: Path, tmp_path: Path, change: dict[str, Any], kind: type[StriateError], said: str
) -> None:
    with pytest.raises(kind) as caught:
        striate.search(arrays, out=tmp_path / "s", **{**KEYS, **change})
    assert said in str(caught.value)


BESIDE = [
    ("trials", 4),
    ("budget_s", 60.0),
    ("epochs", 3),
    ("seed", 1),
    ("weights_at_most", 9),
    ("storage", "sqlite://"),
]


@pytest.mark.parametrize(("key", "value"), BESIDE, ids=[key for key, _ in BESIDE])
def test_what_a_search_has_already(
    searched: tuple[SearchFolder, SearchRecord, Ear], key: str, value: Any
) -> None:
    """It is not passed over."""
    flag = {"budget_s": "--budget"}.get(key, f"--{key.replace('_', '-')}")
    with pytest.raises(StriateError) as caught:
        striate.search(resume=searched[0].path, **{key: value})
    assert str(caught.value) == (
        f"{flag}: {flag} is given beside --resume, and a search that was begun has its own\n"
        "  expected: --resume, and where the data are on this machine if they are elsewhere\n"
        f"  try: leave out {flag}"
    )


def test_a_search_whose_database_is_gone(
    searched: tuple[SearchFolder, SearchRecord, Ear], tmp_path: Path
) -> None:
    url, name = find_search(searched[0].path)
    with pytest.raises(StriateError) as caught:
        striate.search(join=url, name="other")
    assert str(caught.value) == (
        f"--name: there is no search `other` in {url}\n  expected: one of {name}\n  try: --name {name}"
    )
    gone = tmp_path / "gone.db"
    (tmp_path / "search.toml").write_text(f'storage = "sqlite:///{gone}"\nname = "s"\n')
    with pytest.raises(StriateError) as caught:
        striate.search(resume=tmp_path)
    assert str(caught.value) == (
        f"sqlite:///{gone}: the database of the search cannot be used: there is no such file\n"
        "  expected: a database that can be read and written\n"
        "  try: bring it back, then the same command again; what was acknowledged is kept in it"
    )
    assert not gone.exists()


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "a/../../out.txt"])
def test_an_archive_that_leads_out_of_its_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "all" / "s").mkdir(parents=True)
    with zipfile.ZipFile(tmp_path / "all" / "s" / "0001.zip", "w") as archive:
        archive.writestr(name, "x")
    run = RunFolder(tmp_path / "trials" / "0001")
    assert Checkpoints(str(tmp_path / "all"), "s").fetch(1, run) == "it is damaged"
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["0001.zip"]


def test_a_database_that_goes_while_it_is_searched(
    arrays: Path, whole: tuple[Path, SearchRecord], tmp_path: Path
) -> None:
    folder = tmp_path / "s"
    url = f"sqlite:///{tmp_path / 'db' / 'study.db'}"
    (tmp_path / "db").mkdir()

    class Mover(Ear):
        def stopping(self) -> bool:
            if super().stopping():
                self.stop_at = None
                (tmp_path / "db").rename(tmp_path / "away")
            return False

    with pytest.raises(StriateError, match="the database of the search cannot be used"):
        striate.search(arrays, out=folder, watch=Mover(stop_at=60), storage=url, **{**KEYS, "trials": 3})
    # The cure: bring it back, then the same command again.
    (tmp_path / "away").rename(tmp_path / "db")
    with closing(sqlite3.connect(tmp_path / "db" / "study.db")) as opened, opened:
        # As if the minute that the lease of this process still holds were over.
        opened.execute("UPDATE striate_rung SET expires = 0")
    assert plain(striate.search(resume=folder, device="cpu")) == plain(whole[1])


def test_a_budget_that_is_shorter_than_one_training() -> None:
    with pytest.raises(StriateError) as caught:
        module.require_time(100.0, 60.0)
    assert str(caught.value) == (
        "--budget: one training takes 1 min 55 s, and the budget is 1 min 0 s\n"
        "  expected: three to four times as long as one training\n"
        "  try: --budget 7m, or fewer --epochs"
    )
    module.require_time(100.0, 7 * 60.0)


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
    assert str(misfit.value) == (
        "--weights-at-most: it has 435 weights\n  expected: at most 10\n  try: --weights-at-most 435"
    )
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
    search = module.join_search(url, name, searched[0], source=None, folds=None, device="cpu", watch=ear)
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


def test_a_budget_ends_it(arrays: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a budget the number of trials is what time allows; the best still comes to its end.

    A step takes a hundredth of a second here, and a whole training 108.
    """
    ear = Ear()
    monkeypatch.setattr(module.Search, "elapsed_s", lambda _: 0.01 * ear.asked)
    for each in ("worker", "stage"):
        monkeypatch.setattr(f"striate.searching.{each}.whole_s", lambda *_: 1.08)
    keys = {key: value for key, value in KEYS.items() if key != "trials"}
    record = striate.search(arrays, out=tmp_path / "s", budget_s=6, watch=ear, **keys)
    assert len(record.trials) >= FEWEST
    assert next(each for each in record.trials if each.trial == record.best).steps[-1] == 108
    assert record.seconds <= 6
