"""The database of a search: its settings, its trials, and who works on which of them.

It lies beside Optuna's tables in the same database, SQLite or PostgreSQL, so that one address is all that a worker
needs.  What a worker does is leased to it for a while and renewed; the lease of one that died runs out, another takes
over, and what the first may still send is refused.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from striate.errors import MissingExtra, StriateError

try:
    import sqlalchemy as sql
    from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError
except ImportError:
    raise MissingExtra(
        "a search needs Optuna and SQLAlchemy, which are not installed", cure='pip install "striate[search]"'
    ) from None

# Seconds that a lease holds without being renewed, and how often it is renewed in that time.
LEASE_S, RENEWALS = 60.0, 4

# Seconds that SQLite waits for another process that writes.
WAIT_S = 60

State = Literal["open", "leased", "done", "diverged", "dropped"]

_tables = sql.MetaData()
_searches = sql.Table(
    "striate_search", _tables,
    sql.Column("name", sql.String(200), primary_key=True),
    sql.Column("key", sql.String(64), primary_key=True),
    sql.Column("value", sql.Text, nullable=False),
)  # fmt: skip
_trials = sql.Table(
    "striate_trial", _tables,
    sql.Column("name", sql.String(200), primary_key=True),
    sql.Column("trial", sql.Integer, primary_key=True),
    sql.Column("round", sql.Integer, nullable=False),
    sql.Column("values", sql.Text, nullable=False),
    sql.Column("cost", sql.Text, nullable=False),
)  # fmt: skip
_rungs = sql.Table(
    "striate_rung", _tables,
    sql.Column("name", sql.String(200), primary_key=True),
    sql.Column("trial", sql.Integer, primary_key=True),
    sql.Column("rung", sql.Integer, primary_key=True),
    sql.Column("state", sql.String(16), nullable=False),
    sql.Column("owner", sql.String(200)),
    sql.Column("token", sql.Integer, nullable=False),
    sql.Column("expires", sql.Float),
    sql.Column("steps", sql.Integer, nullable=False),
    sql.Column("metric", sql.Float),
    sql.Column("accuracy", sql.Float),
    sql.Column("loss", sql.Float),
    sql.Column("seconds", sql.Float),
    sql.Column("note", sql.Text),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rung:
    """A trial on one rung.

    steps: up to which it trains.  owner, expires: who works on it, and until when it is theirs.
    metric, accuracy, loss: on the validation images behind them.  seconds: what they took.
    note: why it was ended, by the doctor's code, or that it started over.
    """

    trial: int
    rung: int
    state: State
    owner: str | None
    token: int
    expires: float | None
    steps: int
    metric: float | None
    accuracy: float | None
    loss: float | None
    seconds: float | None
    note: str | None


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial.  round: in which it was drawn.  values: of its parameters.  cost: what the plan says of it."""

    trial: int
    round: int
    values: dict[str, Any]
    cost: dict[str, float]


def this_worker() -> str:
    """The name of a worker: machine, process, and a number that no other process ever has."""
    return f"{platform.node()}:{os.getpid()}:{secrets.token_hex(4)}"


def shown_address(url: str) -> str:
    """The address of a database without its password."""
    try:
        return sql.engine.make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url


class Database:
    """One search in a database.

    url: as SQLAlchemy takes it.  name: of the search.
    Every method raises StriateError where the database cannot be reached.
    """

    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name
        self._engine = open_engine(url)
        with self._speaking() as connection:
            _tables.create_all(connection)

    @contextmanager
    def _speaking(self) -> Iterator[sql.Connection]:
        """A transaction."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except IntegrityError:
            raise
        except SQLAlchemyError as error:
            raise unreachable(self.url, error) from None

    def close(self) -> None:
        """Let go of the connections."""
        self._engine.dispose()

    # Settings

    def note(self, key: str, value: Any) -> None:
        """Keep a setting, in the place of what it was."""
        text = json.dumps(value)
        with self._speaking() as connection:
            where = (_searches.c.name == self.name) & (_searches.c.key == key)
            changed = connection.execute(sql.update(_searches).where(where).values(value=text)).rowcount
            if not changed:
                connection.execute(sql.insert(_searches).values(name=self.name, key=key, value=text))

    def noted(self, key: str) -> Any:
        """A setting, or None."""
        with self._speaking() as connection:
            where = (_searches.c.name == self.name) & (_searches.c.key == key)
            found = connection.execute(sql.select(_searches.c.value).where(where)).scalar()
        return None if found is None else json.loads(found)

    def claim(self, key: str) -> bool:
        """Whether this worker is the first to say that it does something that one is to do."""
        try:
            with self._speaking() as connection:
                connection.execute(sql.insert(_searches).values(name=self.name, key=key, value="true"))
        except IntegrityError:
            return False
        return True

    # Trials

    def trials(self) -> list[Trial]:
        """All of them, in the order in which they were drawn."""
        with self._speaking() as connection:
            rows = connection.execute(
                sql.select(_trials).where(_trials.c.name == self.name).order_by(_trials.c.trial)
            ).all()
        return [
            Trial(row.trial, row.round, json.loads(row._mapping["values"]), json.loads(row.cost))
            for row in rows
        ]

    def add_trial(
        self, trial: int, round: int, values: Mapping[str, Any], cost: Mapping[str, float], steps: int,
        owner: str, *, lease_s: float = LEASE_S,
    ) -> Rung | None:  # fmt: skip
        """A new trial, its first rung leased to `owner`; None where another worker has taken its number."""
        try:
            with self._speaking() as connection:
                connection.execute(
                    sql.insert(_trials).values(
                        name=self.name, trial=trial, round=round, values=json.dumps(dict(values)),
                        cost=json.dumps(dict(cost)),
                    )
                )  # fmt: skip
                connection.execute(
                    sql.insert(_rungs).values(
                        name=self.name, trial=trial, rung=0, state="leased", owner=owner, token=1,
                        expires=time.time() + lease_s, steps=steps,
                    )
                )  # fmt: skip
        except IntegrityError:
            return None
        return next(each for each in self.rungs() if (each.trial, each.rung) == (trial, 0))

    # Rungs

    def rungs(self) -> list[Rung]:
        """Every rung of every trial."""
        with self._speaking() as connection:
            rows = connection.execute(
                sql.select(_rungs).where(_rungs.c.name == self.name).order_by(_rungs.c.trial, _rungs.c.rung)
            ).all()
        return [Rung(**{key: value for key, value in row._mapping.items() if key != "name"}) for row in rows]

    def open_rung(self, trial: int, rung: int, steps: int) -> None:
        """A trial may go on to a rung; nothing where it was said before."""
        try:
            with self._speaking() as connection:
                connection.execute(
                    sql.insert(_rungs).values(
                        name=self.name, trial=trial, rung=rung, state="open", token=0, steps=steps
                    )
                )
        except IntegrityError:
            return

    def lease(self, wanted: Rung, owner: str, *, lease_s: float = LEASE_S) -> Rung | None:
        """Take a rung that is open or whose worker died; None where another worker was first."""
        token = wanted.token + 1
        with self._speaking() as connection:
            taken = connection.execute(
                sql.update(_rungs)
                .where(self._same(wanted), _rungs.c.token == wanted.token, _rungs.c.state == wanted.state)
                .values(state="leased", owner=owner, token=token, expires=time.time() + lease_s)
            ).rowcount
        if not taken:
            return None
        return Rung(
            wanted.trial, wanted.rung, "leased", owner, token, time.time() + lease_s, wanted.steps,
            None, None, None, None, wanted.note,
        )  # fmt: skip

    def renew(self, held: Rung, *, lease_s: float = LEASE_S) -> bool:
        """Keep a lease; False where it was lost."""
        return self._change(held, expires=time.time() + lease_s)

    def release(self, held: Rung) -> bool:
        """Give a rung back, for whoever comes next."""
        return self._change(held, state="open", owner=None, expires=None)

    def finish(
        self, held: Rung, *, state: State, metric: float | None, accuracy: float | None, loss: float | None,
        seconds: float, note: str | None = None,
    ) -> bool:  # fmt: skip
        """Note the result of a rung; False where the lease was lost, and nothing is noted then."""
        return self._change(
            held, state=state, metric=metric, accuracy=accuracy, loss=loss, seconds=seconds, note=note,
            expires=None,
        )  # fmt: skip

    def drop_open(self, rung: int, round_trials: set[int]) -> None:
        """Nobody is to work on what is open of a rung any more: its time is over."""
        with self._speaking() as connection:
            connection.execute(
                sql.update(_rungs)
                .where(_rungs.c.name == self.name, _rungs.c.rung == rung, _rungs.c.state == "open")
                .where(_rungs.c.trial.in_(sorted(round_trials)))
                .values(state="dropped")
            )

    def _same(self, rung: Rung) -> sql.ColumnElement[bool]:
        return (_rungs.c.name == self.name) & (_rungs.c.trial == rung.trial) & (_rungs.c.rung == rung.rung)

    def _change(self, held: Rung, **values: Any) -> bool:
        """Change a rung that is still leased to who holds it."""
        with self._speaking() as connection:
            changed = connection.execute(
                sql.update(_rungs)
                .where(self._same(held), _rungs.c.token == held.token, _rungs.c.state == "leased")
                .values(**values)
            ).rowcount
        return bool(changed)


def is_abandoned(rung: Rung) -> bool:
    """Whether the worker of a leased rung is gone: its lease ran out, or its process on this machine ended."""
    if rung.state != "leased":
        return False
    if rung.expires is None or rung.expires < time.time():
        return True
    host, process, _ = (rung.owner or "::").split(":")
    if host != platform.node() or os.name != "posix":
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except OSError:
        pass
    return False


def open_engine(url: str) -> sql.Engine:
    """A database by its address.  Raises StriateError where the address cannot be read or its driver is missing."""
    try:
        address = sql.engine.make_url(url)
        if address.get_backend_name() == "sqlite":
            return sql.create_engine(address, connect_args={"timeout": WAIT_S})
        return sql.create_engine(address, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError):
        raise StriateError(
            f"`{url}` is not the address of a database",
            place="--storage",
            expected="sqlite:///FILE, or postgresql+psycopg://USER@HOST/DATABASE",
            cure="--storage sqlite:///study.db",
        ) from None
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"the driver {error.name} of this database is not installed",
            cure=f"pip install {'psycopg[binary]' if error.name == 'psycopg' else error.name}",
        ) from None


def searches_in(url: str) -> list[str]:
    """The names of the searches in a database, the newest last.  Raises StriateError."""
    engine = open_engine(url)
    file = engine.url.database if engine.url.get_backend_name() == "sqlite" else None
    if file is not None and not os.path.exists(file):
        # To look into it would make it.
        raise unreachable(url, FileNotFoundError("there is no such file"))
    try:
        with engine.connect() as connection:
            if not sql.inspect(connection).has_table(_searches.name):
                return []
            began = sql.func.max(sql.case((_searches.c.key == "began", _searches.c.value), else_=""))
            names = sql.select(_searches.c.name).group_by(_searches.c.name).order_by(began, _searches.c.name)
            return list(connection.execute(names).scalars())
    except SQLAlchemyError as error:
        raise unreachable(url, error) from None
    finally:
        engine.dispose()


def unreachable(url: str, error: Exception) -> StriateError:
    """What is said where a database does not answer."""
    why = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
    return StriateError(
        f"the database of the search cannot be used: {why}",
        place=shown_address(url),
        expected="a database that can be read and written",
        cure="bring it back, then the same command again; what was acknowledged is kept in it",
    )
