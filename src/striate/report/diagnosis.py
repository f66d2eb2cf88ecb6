"""What the doctor says of the run."""

from __future__ import annotations

from striate.doctor.finding import Diagnosis, Finding
from striate.errors import counted
from striate.report.element import Html, joined, spoken, tag

_TITLES = {"error": "Error", "warning": "Warning", "note": "Note"}


def diagnosis(found: Diagnosis) -> Html:
    """Findings, the gravest first; what could not be checked is folded away."""
    parts = [_finding(each) for each in found.findings]
    if not parts:
        parts.append(tag("p", "Nothing wrong was found."))
    if found.not_applicable:
        count = counted(len(found.not_applicable), "check")
        parts.append(
            tag(
                "details",
                tag("summary", f"{count} could not be made"),
                tag(
                    "ul",
                    joined(
                        tag("li", tag("code", each.code), f", because {each.reason}") for each in found.not_applicable
                    ),
                    css="soft",
                ),
            )
        )  # fmt: skip
    return joined(parts)


def _finding(each: Finding) -> Html:
    where = f" at {each.layer}" if each.layer else ""
    cure = (
        joined([tag("p", "Try", css="soft"), tag("pre", each.cure[1:-1])])
        if each.cure.startswith("`") and each.cure.count("`") == 2 and each.cure.endswith("`")
        else tag("p", spoken(f"Try: {each.cure}"))
    )
    return tag(
        "div",
        tag("h3", f"{_TITLES[each.severity]}: ", tag("code", each.code), where),
        tag("p", spoken(f"{each.evidence[:1].upper()}{each.evidence[1:]}.")),
        tag("p", spoken(each.why), css="soft"),
        cure,
        css="command",
    )
