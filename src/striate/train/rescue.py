"""A loop whose loss is no number any more: back to the last sound state, and on at a lower rate."""

from __future__ import annotations

import time
from typing import Any

from torch import Tensor

from striate.errors import RunError, counted
from striate.train.checkpoint import load_checkpoint
from striate.train.loop import Diverged, Loop, run_loop
from striate.train.state import State
from striate.train.watch import Watch

# How often a run is rolled back, and what its rate is multiplied with each time.
MOST_ROLLBACKS = 3
LOWERED = 0.3


def run_rescued(loop: Loop, state: State, watch: Watch) -> None:
    """Run a loop; where it diverges, roll back and lower the rate, three times at most.

    It goes back to the newest checkpoint of the stage, or to its start.  The time that was lost counts.
    Raises Diverged, with all that was tried, where lower rates do not help, and what `run_loop` raises.
    """
    start = ({name: tensor.clone() for name, tensor in state.tensors().items()}, state.numbers())
    while True:
        try:
            run_loop(loop, state, watch)
        except Diverged as problem:
            assert loop.recipe.rate is not None
            if state.rollbacks == MOST_ROLLBACKS:
                tried = ", ".join(f"{loop.recipe.rate * LOWERED**i:.2g}" for i in range(MOST_ROLLBACKS + 1))
                raise Diverged(
                    f"{problem.problem}; rolled back {counted(MOST_ROLLBACKS, 'time')}, rates tried: {tried}",
                    expected=problem.expected,
                    cure=f"--set rate={loop.recipe.rate * LOWERED**MOST_ROLLBACKS / 10:.1g}; or a network with bn; "
                    "or pictures without extreme values",
                ) from None
            _roll_back(loop, state, start)
            watch.end()
            rate = loop.recipe.rate * state.rate_share
            watch.say(f"{problem.problem}: back to step {state.step}, the highest rate is {rate:.2g} now")
        else:
            return


def _roll_back(loop: Loop, state: State, start: tuple[dict[str, Tensor], dict[str, Any]]) -> None:
    rollbacks, share, elapsed_s = state.rollbacks + 1, state.rate_share * LOWERED, state.pace.elapsed_s()
    failed = state.step + 1
    tensors, numbers = start
    try:
        checkpoint = load_checkpoint(loop.run.state)
        if checkpoint.numbers["stage"] == state.stage:
            tensors, numbers = checkpoint.tensors, checkpoint.numbers
    except RunError:
        # None was written yet.
        pass
    state.restore(tensors, numbers)
    state.rollbacks, state.rate_share = rollbacks, share
    state.pace.spent_s, state.pace.started = elapsed_s, time.monotonic()
    loop.run.events.cut(state.events_bytes)
    loop.run.events.append(
        {"event": "rollback", "step": state.step, "failed_step": failed, "rate_share": state.rate_share}
    )
