"""The list of the zoo and its files."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files

import pytest

from striate.errors import StriateError
from striate.net.zoo.list import ZOO, zoo_names, zoo_net, zoo_text


def test_each_file_is_listed_once_and_each_name_has_its_file() -> None:
    stems = {
        path.name.removesuffix(".net")
        for path in files("striate.net.zoo").iterdir()
        if path.name.endswith(".net")
    }
    assert len(zoo_names()) == len(set(zoo_names()))
    assert set(zoo_names()) == stems


def test_a_name_gives_its_entry_and_its_text() -> None:
    assert zoo_net("resnet50").input == (3, 224, 224)
    assert zoo_net("resnet50").year == 2015
    assert zoo_text("resnet50").startswith("# ResNet-50: ")


def test_each_entry_says_all_of_itself() -> None:
    for net in ZOO:
        assert 1998 <= net.year <= 2026
        assert net.classes in (10, 1000)
        assert net.paper
        assert net.note
        assert len(net.note) <= 50


def test_an_unknown_name_meets_its_nearest() -> None:
    with pytest.raises(StriateError) as caught:
        zoo_text("resnet-50")
    assert str(caught.value) == (
        "the zoo has no `resnet-50`\n  expected: a name that `striate zoo` lists\n  try: resnet50"
    )
    assert zoo_text(caught.value.cure)


def test_a_name_like_none_meets_the_list() -> None:
    with pytest.raises(StriateError) as caught:
        zoo_net("../../etc/passwd")
    assert str(caught.value) == (
        "the zoo has no `../../etc/passwd`\n  expected: a name that `striate zoo` lists\n  try: striate zoo"
    )


def test_the_list_needs_no_torch() -> None:
    code = "import sys; from striate.net.zoo.list import zoo_text; zoo_text('lenet5'); print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "False\n"
