"""kill -9: at random moments of a run, and aimed at every call that makes a file durable."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import count as counting
from pathlib import Path
from typing import Any

from sweeps import UNITS, Command, Sweep, ended
from tally import Tally, reference

from effbatch.core import durable

CALLS = ("fsync", "replace")  # what makes a file durable

KILLS_PER_SWEEP = 8


def at_random_moments(home: Path, count: int, rng: random.Random) -> Tally:
    """Each sweep is killed up to eight times, at moments spread over the life of a run, then brought to an end."""
    tally = Tally("`kill -9` at a random moment")
    _, cube = reference(home / "whole")
    return killed_at_random(tally, Sweep, cube, home, count, rng)


def killed_at_random(
    tally: Tally, kind: type[Command], truth: Any, home: Path, count: int, rng: random.Random
) -> Tally:
    """The same for any command, which comes to `truth` when nothing disturbs it."""
    life = kind(home / "timed").seconds()
    for number in range(10 * count):
        command = kind(home / f"run{number}")
        for _ in range(KILLS_PER_SWEEP):
            child = command.start()
            time.sleep(rng.uniform(0, life))
            child.kill()
            if ended(child) == -signal.SIGKILL:
                tally.tried += 1
                tally.struck[_where(command, child.pid)] += 1
        tally.settle(command, truth)
        if tally.tried >= count:
            break
    return tally


def _where(sweep: Command, pid: int | None) -> str:
    """What a killed run was doing, from its journal and what lies in the folder."""
    last = [what for run, what, _ in sweep.events() if run == str(pid)][-1:]
    units = sweep.out / "units"
    if not last:
        return "before the first unit"
    if last == ["training"]:
        known = sweep.acknowledged()
        new = [path for path in units.glob("*") if path.name.strip(".").partition("-")[0].split(".")[0] not in known]
        return "inside a commit" if new else "in training"
    return "after a commit"


def at_every_durable_step(home: Path, count: int, rng: random.Random) -> Tally:
    """A new sweep for every call of fsync and of rename, the run killed before or after it; at most `count` of them."""
    tally = Tally("`kill -9` before and after each `fsync` and rename")
    _, cube = reference(home / "whole")
    return killed_at_durable_steps(tally, Sweep, cube, home, count, rng)


def killed_at_durable_steps(
    tally: Tally, kind: type[Command], truth: Any, home: Path, count: int, rng: random.Random
) -> Tally:
    """The same for any command, which comes to `truth` when nothing disturbs it."""
    whole = kind(home / "counted")
    whole.run(_count)
    calls = Counter((whole.home / "calls").read_text(encoding="utf-8").split())
    aims = [(call, when, n) for call in CALLS for when in ("before", "after") for n in range(calls[call])]
    for call, when, n in rng.sample(aims, min(count, len(aims))):
        command = kind(home / f"{when}-{call}-{n}")
        tally.unexplained += command.run(partial(_aim, call=call, when=when, number=n)) != -signal.SIGKILL
        tally.tried += 1
        tally.struck[f"{when} {call}"] += 1
        tally.settle(command, truth)
    return tally


def while_a_file_is_written(home: Path, count: int, rng: random.Random) -> Tally:
    """The run is killed when a part of a file is on the disk, the part drawn by chance."""
    tally = Tally("`kill -9` while a file is being written")
    _, cube = reference(home / "whole")
    for number in range(count):
        sweep = Sweep(home / f"sweep{number}")
        aim = partial(_write_a_part, number=rng.randrange(UNITS + 2), part=rng.random())
        tally.unexplained += sweep.run(aim) != -signal.SIGKILL
        tally.tried += 1
        tally.struck["the file was there in part"] += any(sweep.out.rglob(".*.tmp"))
        tally.settle(sweep, cube)
    return tally


def _count(home: Path) -> None:
    """Write down every durable call of this process."""
    for call in CALLS:
        _around(call, before=partial(_note, home / "calls", call))


def _note(path: Path, call: str, number: int) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{call}\n")


def _aim(home: Path, *, call: str, when: str, number: int) -> None:
    """Kill this process before or after its call `number` of os.`call`."""
    _around(call, **{when: lambda n: n == number and os.kill(os.getpid(), signal.SIGKILL)})


def _around(call: str, *, before: Callable[[int], object] = bool, after: Callable[[int], object] = bool) -> None:
    """Call os.`call` between these two, which are given its number."""
    function: Callable[..., Any] = getattr(os, call)
    numbers = counting()

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        number = next(numbers)
        before(number)
        answer = function(*args, **kwargs)
        after(number)
        return answer

    setattr(os, call, wrapped)


def _write_a_part(home: Path, *, number: int, part: float) -> None:
    """Kill this process when it has written so large a part of its file `number`: sweep.json, the units, the cube."""
    write, numbers = durable.write, counting()

    def deadly(path: Path, content: bytes) -> None:
        if next(numbers) == number:
            path.with_name(f".{path.name}.tmp").write_bytes(content[: int(part * len(content))])
            os.kill(os.getpid(), signal.SIGKILL)
        write(path, content)

    durable.write = deadly  # type: ignore[assignment]
