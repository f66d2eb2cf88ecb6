"""A loop whose loss becomes NaN: back to the last sound state, and on at a lower learning rate."""

from __future__ import annotations

from striate.errors import counted
from striate.progress import Watch
from striate.runs.events import EVENT, EventFile, RollbackEvent, read_events
from striate.training.loop.checkpoint import keep_checkpoints, load_checkpoint
from striate.training.loop.loop import Diverged, Loop, lower_rate, run_loop, save
from striate.training.loop.state import State

# How often a run is rolled back, and what its learning rate is multiplied with each time.
MOST_ROLLBACKS = 3
LOWERED = 0.3
LOWEST_SHARE = LOWERED**MOST_ROLLBACKS


def run_rescued(loop: Loop, state: State, watch: Watch) -> None:
    """Run a loop; where it diverges, roll back and lower the learning rate, three times at most.

    It goes back by half of its steps at least: the last ones before a NaN are finite, and lost already.  The
    time that was lost counts.
    Raises Diverged, with all that was tried, where lower rates do not help, and what `run_loop` raises.
    """
    save(loop, state)
    keep_checkpoints(loop.run.state, state.first_step, state.step)
    while True:
        try:
            run_loop(loop, state, watch)
        except Diverged as problem:
            if state.rollbacks == MOST_ROLLBACKS:
                tried = ", ".join(
                    f"{loop.settings.learning_rate * LOWERED**i:.3g}" for i in range(MOST_ROLLBACKS + 1)
                )
                raise Diverged(
                    f"{problem.problem}; rolled back {counted(MOST_ROLLBACKS, 'time')}, rates tried: {tried}",
                    expected=problem.expected,
                    cure=f"{lower_rate(loop.settings.learning_rate, LOWEST_SHARE / 10)}; or a network with bn; "
                    "or images without extreme values",
                ) from None
            _roll_back(loop, state, problem.problem)
            watch.end()
            learning_rate = loop.settings.learning_rate * state.rate_share
            watch.say(
                f"{problem.problem}: back to step {state.step}, the highest learning rate is {learning_rate:.2g} now"
            )
        else:
            return


def _roll_back(loop: Loop, state: State, problem: str) -> None:
    rollbacks, share, elapsed_s = state.rollbacks + 1, state.rate_share * LOWERED, state.pace.elapsed_s()
    best = state.best
    failed = state.step + 1
    checkpoint = load_checkpoint(loop.run.state, state.landmark(state.step // 2))
    state.restore(checkpoint.tensors, checkpoint.numbers)
    state.rollbacks, state.rate_share = rollbacks, share
    # weights.safetensors holds the best so far, even if it came behind the checkpoint.
    state.best = best
    state.pace.spent_s, state.pace.started = elapsed_s, state.pace.clock.monotonic()
    events = loop.run.events
    before = _rollbacks(events)
    events.cut(state.events_bytes)
    loop.run.vitals.cut(state.vitals.bytes)
    # Earlier ways back to the same checkpoint happened, too.
    for event in before[len(_rollbacks(events)) :]:
        events.append(event)
    events.append(
        RollbackEvent(
            step=state.step,
            failed_step=failed,
            rate_share=state.rate_share,
            problem=problem,
            best_epoch=state.best.epoch,
        )
    )
    # Killed before this, a resumed run diverges and comes back once more.
    save(loop, state)
    keep_checkpoints(loop.run.state, state.first_step, state.step)


def _rollbacks(events: EventFile) -> list[RollbackEvent]:
    return [event for event in read_events(events.path, EVENT) if isinstance(event, RollbackEvent)]
