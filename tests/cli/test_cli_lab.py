"""`striate lab`: the list, a claim that is counted, and wrong calls."""

from __future__ import annotations

import json
from pathlib import Path

from cli.conftest import Call


def test_claims_are_listed(call: Call, here: Path) -> None:
    said = call("lab")
    lines = said.out.splitlines()
    assert (said.code, said.err) == (0, "")
    assert len(lines) == 23
    assert lines[0].split("  ")[0] == "relu-faster"
    listed = json.loads(call("lab", "--json").out)["claims"]
    assert [each["name"] for each in listed] == [line.split(" ", 1)[0] for line in lines]


def test_a_claim_that_is_counted(call: Call, here: Path) -> None:
    said = call("lab", "googlenet-ten")
    assert (said.code, said.err) == (0, "")
    assert said.out == (
        "\nGoogLeNet has ten times fewer parameters than AlexNet.\n"
        "verdict: holds in part\n"
        "  parameters, AlexNet over GoogLeNet as it answers: 9.22 times: holds\n"
        "  parameters, AlexNet over GoogLeNet as it is trained, with its two auxiliary heads: 4.7 times: does not hold\n"
        f"\npage     {Path('lab', 'googlenet-ten', 'page.html')}\n"
    )
    assert {each.name for each in (here / "lab" / "googlenet-ten").iterdir()} == {"receipt.json", "page.html"}
    assert json.loads(call("lab", "googlenet-ten", "--json").out)["verdict"] == "holds in part"


def test_wrong_calls(call: Call, here: Path) -> None:
    said = call("lab", "dropout")
    assert (said.code, said.err) == (
        1,
        "striate: lab: there is no claim `dropout`\n  expected: a claim that `striate lab` lists\n  try: dropout-conv\n",
    )
    said = call("lab", "googlenet-ten", "--data", "nowhere")
    assert said.code == 1
    assert said.err.startswith("striate: nowhere: ")
    assert not (here / "lab").exists()
