"""A plain grid with its spread: every combination of some values, each with several seeds, trained to its end."""

from __future__ import annotations

import csv
import io
import itertools
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, stdev

from striate.disk.atomic import write_atomic
from striate.errors import RecipeError, RunError
from striate.net.network import Network
from striate.progress import Watch
from striate.recipe.keys import check_recipe, read_settings
from striate.searching.space import Parameter, Space, Value
from striate.searching.trial import Bench, Limits, Reporter, train_to
from striate.training.loop.loop import Stopped


@dataclass(frozen=True, slots=True)
class Swept:
    """One combination.  metrics: on the validation images at the end, one for each seed; None where it diverged."""

    values: Mapping[str, Value]
    metrics: tuple[float | None, ...]

    @property
    def whole(self) -> list[float]:
        """Of the seeds that came to their end."""
        return [each for each in self.metrics if each is not None]


def read_grid(text: str) -> dict[str, list[Value]]:
    """`learning_rate=0.01,0.1 batch=32,64` as keys with their values.

    Raises RecipeError for an unknown key, a value out of its domain, or one value only.
    """
    found: dict[str, list[Value]] = {}
    for part in re.split(r"[;\s]+(?=\w+=)", text.strip()):
        key, equals, values = part.partition("=")
        listed = [each.strip() for each in values.split(",") if each.strip()]
        if not equals or not listed:
            raise RecipeError(
                f"`{part}` is no key with values", place="sweep", expected="KEY=VALUE,VALUE",
                cure='"learning_rate=0.001,0.01,0.1"',
            )  # fmt: skip
        name = key.strip()
        found[name] = [read_settings([f"{name}={each}"])[name] for each in listed]
        name_of = next(iter(check_recipe({name: found[name][0]}, "sweep").model_fields_set), name)
        if name_of == "seed":
            raise RecipeError(
                "seed cannot be swept", place="sweep", expected="a key of the recipe", cure="--seeds 5"
            )
    return found


def sweep(
    source: str,
    grid: Mapping[str, Sequence[Value]],
    *,
    network: Network | None,
    recipe: str | None,
    keys: Mapping[str, Value],
    seeds: int,
    out: Path,
    device: str | None,
    watch: Watch,
) -> list[Swept]:
    """Train every combination with every seed, and write sweep.csv and sweep.png into `out`.

    keys: of the recipe, for all.  seeds: 0, 1, ...  What was trained in `out` before is not trained again.
    The test images are not looked at: what is compared here is chosen from.
    """
    if seeds < 1:
        raise RecipeError(f"{seeds} seeds are none", place="--seeds", expected="1 or more", cure="--seeds 3")
    parameters = tuple(Parameter(name, "option", options=tuple(values)) for name, values in grid.items())
    combinations = [dict(zip(grid, each, strict=True)) for each in itertools.product(*grid.values())]
    results: list[Swept] = []
    watch.begin("sweep", len(combinations) * seeds)
    done = 0
    for number, values in enumerate(combinations):
        metrics: list[float | None] = []
        for seed in range(seeds):
            bench = Bench(
                source, network, recipe, {**keys, "seed": seed}, Space(parameters, {}), Limits(),
                out / "runs" / f"seed-{seed}", device, False,
            )  # fmt: skip
            whole = _steps(bench, values, watch)
            reporter = Reporter(partial(watch.advance, done), watch.stopping)
            try:
                ended = train_to(bench, number, values, whole, 0, reporter)
            except Stopped:
                raise Stopped(
                    "stopped; every training is saved",
                    cure=f"the same command with --out {shlex.quote(str(out))}",
                ) from None
            metrics.append(None if ended.scored is None else ended.scored.metric)
            done += 1
            watch.advance(done, "")
        results.append(Swept(values, tuple(metrics)))
        watch.say(f"{describe(values)}: {spread(results[-1])}")
    watch.end()
    write_atomic(out / "sweep.csv", _table(results))
    draw_sweep(results, out / "sweep.png")
    return results


def _steps(bench: Bench, values: Mapping[str, Value], watch: Watch) -> int:
    """Steps of a whole training."""
    chosen = bench.recipe_of(values)
    if chosen.budget_s is not None:
        raise RunError(
            "a sweep compares trainings of one length, and the recipe says a time", place="budget_s",
            expected="epochs", cure="--set epochs=10",
        )  # fmt: skip
    data = bench.data_of(chosen, watch)
    images = len(data.train.labels)
    return max(1, images // chosen.batch_for(images)) * chosen.epochs_for(images)


def describe(values: Mapping[str, Value]) -> str:
    """`learning_rate 0.01, batch 32`."""
    return ", ".join(f"{key} {value}" for key, value in values.items())


def spread(swept: Swept) -> str:
    """The mean and the standard deviation over the seeds."""
    if not swept.whole:
        return "diverged"
    lost = len(swept.metrics) - len(swept.whole)
    wide = f" ± {stdev(swept.whole):.2%}" if len(swept.whole) > 1 else ""
    return f"{mean(swept.whole):.2%}{wide}" + (f", {lost} of {len(swept.metrics)} diverged" if lost else "")


def _table(results: Sequence[Swept]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*results[0].values, "seed", "validation"])
    for each in results:
        writer.writerows([*each.values.values(), seed, metric] for seed, metric in enumerate(each.metrics))
    return file.getvalue().encode()


def draw_sweep(results: Sequence[Swept], path: Path) -> None:
    """Write a PNG: the first key along the bottom, means and their spread for each combination of the others.

    Between numbers the means are joined; between words, as optimizers, there is nothing.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    first = next(iter(results[0].values))
    figure = Figure(figsize=(7, 4.2), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    ticks = list(dict.fromkeys(str(each.values[first]) for each in results))
    numbers = all(isinstance(each.values[first], int | float) for each in results)
    lines: dict[str, list[Swept]] = {}
    for each in results:
        rest = describe({key: value for key, value in each.values.items() if key != first})
        lines.setdefault(rest, []).append(each)
    for at, (name, each_line) in enumerate(lines.items()):
        shift = 0.06 * (at - (len(lines) - 1) / 2)
        shown = [
            (ticks.index(str(each.values[first])) + shift, each.whole) for each in each_line if each.whole
        ]
        color = f"C{at % 10}"
        axes.plot(
            [x for x, _ in shown], [100 * mean(y) for _, y in shown], "-" if numbers else "_", markersize=22,
            color=color, label=name or None,
        )  # fmt: skip
        for x, values in shown:
            axes.scatter([x] * len(values), [100 * each for each in values], s=14, color=color, alpha=0.6)
    axes.set_xticks(range(len(ticks)), ticks)
    axes.set_xlabel(first.replace("_", " "))
    axes.set_ylabel("validation accuracy, %; a dot is a seed")
    if len(lines) > 1:
        axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)  # type: ignore[no-untyped-call]
    write_atomic(path, buffer.getvalue())
