"""The page as a whole: what it shows, that it stands alone, and that it is the same each time."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import matplotlib
import pytest
from report_reader import PageReader
from report_sample import make_run

from effort import calls
from striate.errors import RunError
from striate.report.facts import read_facts
from striate.report.page import write_report
from striate.runs.folder import RunFolder

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def read(run: RunFolder) -> PageReader:
    write_report(run)
    return PageReader(run.report.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    run = make_run(tmp_path_factory.mktemp("runs") / "photos-1")
    write_report(run)
    return run


@pytest.fixture(scope="module")
def page(whole: RunFolder) -> PageReader:
    return PageReader(whole.report.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "shown",
    [
        # The head.
        "photos A network of 14,762 weights that tells 10 classes apart; it suits 32x32 pixels and 2,560 training",
        "91.2% accuracy on test 95% interval 88.1% to 93.6%",
        "400 test images 35 answered wrongly",
        "2 min 45 s from data to weights 8.2 s an epoch, all in",
        "13 best epoch of 20, by validation",
        "The test images were used once, after all choices were made; on validation the same weights reached 90.1%.",
        "Always answering “6” would give 17.2%.",
        # The curves and their table.
        "Loss a step training validation",
        "cross-entropy, nats",
        "Accuracy training validation",
        "Learning rate",
        "Time of an epoch",
        "The ring is epoch 13, whose weights were kept.",
        "Epochs in figures epoch steps training loss validation loss",
        # Confusion, classes, mistakes.
        "true class ↓ answer → 0 1 2 3 4 5 6 7 8 9",
        "Confusions true class answered images of the class 5 1 5 11.1%",
        "class recall precision F1 test training 3 2 80.0%",
        "24 of 35, the surest first.",
        "IMG_2000.jpg",
        # The data.
        "training 2,560 178 362 ab12ab12ab12",
        "source /home/me/photos kind split folder",
        "10% of the training images, held out before training, every class in proportion, drawn with seed 0",
        "truncated 3, unreadable 1",
        "every image is kept at 36x36 pixels; training sees random crops of 32x32, everything else the middle",
        "red 125.31 62.99",
        # The plan.
        "input 3x32x32, channels x height x width",
        "stem.0 conv 16 3x3 16x32x32 448 442,368 3x3 –",
        "# A small network for images of 32x32.",
        # The recipe, the machine, and how to go on.
        "rate 0.003 the highest learning rate",
        "budget_s not set",
        "torch 2.13.0+cpu",
        "processor A processor",
    ],
)
def test_it_shows(page: PageReader, shown: str) -> None:
    assert shown in page.text


def test_it_shows_the_warnings_of_the_plan(whole: RunFolder, page: PageReader) -> None:
    plan = read_facts(whole).plan
    assert plan is not None
    assert plan.notes
    for note in plan.notes:
        assert str(note).replace("`", "") in re.sub(" ([,.:])", r"\1", page.text)


def test_it_says_how_to_go_on(whole: RunFolder, page: PageReader) -> None:
    assert f"striate predict {whole.path} image.jpg" in page.text


def test_it_shows_every_mistake_as_an_image(page: PageReader) -> None:
    sources = page.attributes("src")
    assert len(sources) == 24
    assert all(re.fullmatch(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/]+=*", each) for each in sources)


def test_it_draws_four_curves_that_are_told_in_words(page: PageReader) -> None:
    drawn = [found for tag, found in page.elements if tag == "svg"]
    assert [each["role"] for each in drawn] == ["img"] * 4
    assert (drawn[0]["aria-label"] or "").startswith("Loss: training from 1.6")


def test_it_stands_alone(whole: RunFolder, page: PageReader) -> None:
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "iframe", "object", "embed", "base", "form", "video", "audio"}
    assert ("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}) in page.elements
    assert all(each.startswith("#") for name in ("href", "xlink:href") for each in page.attributes(name))
    assert page.attributes("srcset") + page.attributes("action") == []
    assert not any(name.startswith("on") for _, found in page.elements for name in found)
    assert "url(" not in page.style
    assert "@import" not in page.style
    text = whole.report.read_text(encoding="utf-8")
    assert re.findall(r"https?://[^\"' )]*", re.sub(r' xmlns(:xlink)?="[^"]*"', "", text)) == []


def test_ids_are_unique_and_found(page: PageReader) -> None:
    ids = page.attributes("id")
    assert len(set(ids)) == len(ids)
    wanted = [each[1:] for name in ("href", "xlink:href") for each in page.attributes(name)]
    wanted += re.findall(
        r"url\(#([^)]*)\)", " ".join(page.attributes("clip-path") + page.attributes("style"))
    )
    assert set(wanted) == set(ids)


def test_it_is_readable_in_the_dark(page: PageReader) -> None:
    assert "prefers-color-scheme: dark" in page.style
    drawn = [found.get("style") or "" for tag, found in page.elements if tag in ("path", "use", "text")]
    colors = {each for style in drawn for each in re.findall(r"(?:fill|stroke): ([^;]*)", style)}
    assert colors <= {
        "none",
        *(f"var(--{name})" for name in ("ink", "soft", "line", "training", "validation")),
    }


def test_the_same_run_gives_the_same_bytes(whole: RunFolder) -> None:
    first = whole.report.read_bytes()
    code = "import sys; from striate.report.page import write_report; from striate.runs.folder import RunFolder; "
    code += "from pathlib import Path; write_report(RunFolder(Path(sys.argv[1]))); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code, str(whole.path)], check=True, env={"PYTHONHASHSEED": "77"})
    assert whole.report.read_bytes() == first


def test_only_the_report_is_written(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run")
    before = {each: each.read_bytes() for each in sorted(run.path.iterdir())}
    write_report(run)
    run.report.unlink()
    assert {each: each.read_bytes() for each in sorted(run.path.iterdir())} == before


def test_the_users_style_is_neither_used_nor_changed(whole: RunFolder) -> None:
    plain = whole.report.read_bytes()
    with matplotlib.rc_context({"lines.linewidth": 9, "axes.facecolor": "red", "axes.grid": True}):
        before = dict(matplotlib.rcParams)
        write_report(whole)
        assert dict(matplotlib.rcParams) == before
    assert whole.report.read_bytes() == plain


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (2, "true class ↓ answer → apple bear"),
        (26, "Confusions, the 20 most frequent of"),
        (30, "Confusions, the 20 most frequent of"),
        (31, "by their numbers in the table of classes"),
        (100, "The other 60 classes"),
    ],
)
def test_any_number_of_classes(tmp_path: Path, classes: int, expected: str) -> None:
    page = read(make_run(tmp_path / "run", classes=classes, steps=130, epochs=2, mistakes=1))
    assert expected in page.text
    drawn = [each for each in page.attributes("src") if each.startswith("data:image/png")]
    assert len(drawn) == 1 + (classes > 30)
    assert ("Confusions" in page.text) == (classes > 5)


# Of one page; matplotlib's drawings take nearly all of them.
CALLS = 6_000_000


def test_work_and_size_stay_small(tmp_path: Path) -> None:
    net = Path(__file__).parents[2] / "src/striate/net/zoo/resnet152.net"
    run = make_run(
        tmp_path / "run", classes=100, steps=400, epochs=40, side=192, net=net.read_text(encoding="utf-8")
    )
    write_report(run)
    assert calls(lambda: write_report(run)) < CALLS
    assert run.report.stat().st_size < 1_500_000


def test_validation_is_said_to_flatter(tmp_path: Path) -> None:
    page = read(make_run(tmp_path / "run", split="validation", epochs=2))
    assert "accuracy on validation" in page.text
    assert "There are no test images. The best epoch was chosen on these same validation images" in page.text
    assert "used once" not in page.text


def test_no_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"the run has no run\.json"):
        write_report(RunFolder(tmp_path))
    assert not (tmp_path / "report.html").exists()
