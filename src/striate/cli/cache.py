"""`striate cache`."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.table import Table

from striate.cli.console import prose, tabular
from striate.errors import StriateError, counted, nearest

if TYPE_CHECKING:
    from striate.disk.cached import Cached

VERSION = 1


def cache(
    kind: str | None = None,
    /,
    *,
    clear: bool = False,
    json_: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """Show what lies in the cache, how large it is and when it was used last, or clear it.

    Everything in it is made again when it is needed. It lies in STRIATE_CACHE, or where the system keeps caches;
    weights from the web lie in HF_HOME. What was not used for longest is removed when the cache takes more than
    20 GB or a tenth of its disk, whichever is more; STRIATE_CACHE_LIMIT=50G says another bound, none takes it away.
    What a running process uses is never removed.

    For example:

      striate cache
      striate cache store
      striate cache --clear
      striate cache archives --clear
      striate cache --json

    Parameters
    ----------
    kind
        store, archives, downloads, ledger, machine or explained; all of them if left out.
    clear
        Remove what is listed, but for what is in use.
    json_
        Print everything as JSON.
    """
    from striate.api.bundles import cache as cache_entries
    from striate.disk.cache import cache_root
    from striate.disk.cached import KINDS, limit_bytes, remove
    from striate.text.visible import visible

    if kind is not None and kind not in KINDS:
        raise StriateError(
            f"there is no `{visible(kind)}` in the cache",
            place="cache",
            expected=", ".join(KINDS),
            cure=f"striate cache {nearest(kind, KINDS) or 'store'}",
        )
    root = cache_root(None)
    entries = cache_entries(kind)
    gone = remove(entries) if clear else []
    if json_:
        told = {
            "version": VERSION,
            "folder": str(root),
            "limit_bytes": limit_bytes(root),
            "bytes": sum(each.size_bytes for each in entries),
            "cleared_bytes": sum(each.size_bytes for each in gone),
            "entries": [
                {
                    "kind": each.kind,
                    "path": str(each.path),
                    "about": each.about,
                    "bytes": each.size_bytes,
                    "used": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(each.used)),
                    "in_use": each.in_use,
                    "cleared": each in gone,
                }
                for each in entries
            ],
        }
        print(json.dumps(told, indent=2))
        return
    if clear:
        prose().print(f"cleared   {counted(len(gone), 'entry', 'entries')}, {_size(gone)}")
        kept = [each for each in entries if each not in gone]
        if kept:
            prose().print(f"kept      {counted(len(kept), 'entry', 'entries')} in use, {_size(kept)}")
        return
    table = Table(box=None, pad_edge=False)
    for title in ("kind", "size", "last use", "content", "folder"):
        table.add_column(title, justify="right" if title == "size" else "left", no_wrap=title != "content")
    for each in entries:
        used = "now" if each.in_use else time.strftime("%Y-%m-%d %H:%M", time.localtime(each.used))
        table.add_row(each.kind, _size([each]), used, each.about or KINDS[each.kind], visible(each.path.name))
    if entries:
        tabular().print(table)
        prose().print()
    limit = limit_bytes(root)
    prose().print(f"folder    {visible(str(root))}")
    bound = "without a bound" if limit is None else f"of at most {limit / 1e9:,.1f} GB"
    prose().print(f"all       {counted(len(entries), 'entry', 'entries')}, {_size(entries)}, {bound}")


def _size(entries: Sequence[Cached]) -> str:
    total = sum(each.size_bytes for each in entries)
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if total >= factor:
            return f"{total / factor:,.1f} {unit}"
    return f"{total} bytes"
