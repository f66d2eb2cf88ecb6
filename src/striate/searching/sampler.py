"""What the next trial is: Optuna's multivariate TPE, asked and told.

Optuna cannot pause a trial and go on with it, so what it is told of a trial is the rung that it came to; the trials of
the search are written to Optuna's own tables as well, where its dashboard shows them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from striate.errors import MissingExtra
from striate.searching.database import Database, Rung, Trial, unreachable
from striate.searching.space import Parameter, Value

try:
    import optuna
    from optuna.distributions import (
        BaseDistribution,
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )
    from optuna.trial import TrialState, create_trial
except ImportError:
    raise MissingExtra(
        "a search needs Optuna, which is not installed", cure='pip install "striate[search]"'
    ) from None

# So many trials are drawn at random before what they gave is looked at.
AT_RANDOM = 16

optuna.logging.set_verbosity(optuna.logging.ERROR)


def distribution(parameter: Parameter) -> BaseDistribution:
    """A parameter as Optuna draws it."""
    if parameter.kind == "option":
        return CategoricalDistribution(parameter.options)
    if parameter.kind == "whole":
        return IntDistribution(int(parameter.low), int(parameter.high), log=parameter.log)
    return FloatDistribution(parameter.low, parameter.high, log=parameter.log)


def draw(
    parameters: Sequence[Parameter],
    known: Sequence[tuple[Trial, Sequence[Rung]]],
    seed: int,
    at_random: int = AT_RANDOM,
) -> dict[str, Value]:
    """Values for a new trial.

    known: the trials so far, each with the rungs that it ended on.  Those outside of the ranges of now say nothing
    about them.  seed: another one for each draw.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.TPESampler(multivariate=True, n_startup_trials=at_random, seed=seed)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    ways = {each.name: distribution(each) for each in parameters}
    for trial, rungs in known:
        if ways.keys() != trial.values.keys() or not all(
            _holds(ways[name], value) for name, value in trial.values.items()
        ):
            continue
        ended = [each for each in rungs if each.state == "done" and each.metric is not None]
        if not ended and not any(each.state == "diverged" for each in rungs):
            continue
        study.add_trial(
            create_trial(
                state=TrialState.PRUNED,
                params=trial.values,
                distributions=ways,
                # One that diverged is the worst of the first rung.
                intermediate_values={each.rung: each.metric or 0.0 for each in ended} or {0: -1.0},
            )
        )
    return dict(study.ask(ways).params)


class Mirror:
    """The search as a study of Optuna's, in its own tables of the same database, for its dashboard."""

    def __init__(self, database: Database) -> None:
        try:
            self.database = database
            storage = optuna.storages.RDBStorage(database.url)
            self.study = optuna.create_study(
                storage=storage, study_name=database.name, direction="maximize", load_if_exists=True
            )
        except Exception as error:
            raise unreachable(database.url, error) from None

    def update(
        self, parameters: Sequence[Parameter], trials: Sequence[tuple[Trial, Sequence[Rung]]], last: int
    ) -> None:
        """Write trials that ended for good; each once.  last: the rung of a whole training."""
        ways = {each.name: distribution(each) for each in parameters}
        for trial, rungs in trials:
            waits = any(each.state in ("open", "leased") for each in rungs)
            if waits or not self.database.claim(f"mirrored {trial.trial}"):
                continue
            done = [each for each in rungs if each.state == "done" and each.metric is not None]
            state = TrialState.PRUNED if done else TrialState.FAIL
            if done and done[-1].rung == last:
                state = TrialState.COMPLETE
            self.study.add_trial(
                create_trial(
                    state=state,
                    value=done[-1].metric if done else None,
                    params={name: value for name, value in trial.values.items() if name in ways},
                    distributions={
                        name: _reaching(ways[name], value)
                        for name, value in trial.values.items()
                        if name in ways
                    },
                    intermediate_values={each.steps: each.metric or 0.0 for each in done},
                    user_attrs={"trial": trial.trial, **_costs(trial.cost)},
                )
            )


def _holds(way: BaseDistribution, value: Any) -> bool:
    """Whether a value could have been drawn."""
    if isinstance(way, CategoricalDistribution):
        return value in way.choices
    assert isinstance(way, FloatDistribution | IntDistribution)
    return bool(way.low <= value <= way.high)


def _reaching(way: BaseDistribution, value: Any) -> BaseDistribution:
    """A distribution that holds a value, where the range was narrowed since."""
    if isinstance(way, FloatDistribution | IntDistribution):
        low, high = min(way.low, value), max(way.high, value)
        return type(way)(low, high, log=way.log)
    return way


def _costs(cost: Mapping[str, float]) -> dict[str, float]:
    return dict(cost)
