"""Kills, Ctrl-C, a full disk and company while `effbatch advise` trains its short runs: the same answer in the end."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import disks
import kills
from sweeps import Command, Note, ended, wait_for
from tally import Tally, kept

PAGES = range(1, 4)  # of 4 KiB: fewer than the runs of an answer need


@dataclass(frozen=True)
class Asked(Command):
    """`effbatch advise` for a softmax regression on digits, at two batch sizes."""

    def arguments(self) -> list[str]:
        """As `Command`."""
        asked = "advise perceptron digits --steps 200 --batch 8 --batch 12 --alpha 1 --effort 0.5 --json"
        return asked.split()

    def files(self) -> set[str]:
        """As `Command`: by their places, as their names hold more than the runs' own keys."""
        kept = list(dict.fromkeys(key for _, what, key in self.events() if what == "committed"))
        return set(kept[: len(list(self.out.glob("*.run")))])

    def noting(self, note: Note) -> None:
        """As `Command`."""
        from effbatch.core.kept import Kept

        keep = Kept.__call__

        def noted(kept, key, train):
            trained = []

            def noted_train():
                note("training", key)
                trained.append(key)
                return train()

            arrays = keep(kept, key, noted_train)
            if trained:
                note("committed", key)
            return arrays

        Kept.__call__ = noted  # type: ignore[method-assign]

    def answer(self) -> dict[str, Any]:
        """What it printed, but for the time that it took."""
        said = json.loads(self.said[self.said.index("\n{") :])
        del said["cost"]["seconds"]
        return said

    def same(self, truth: Any) -> bool:
        """As `Command`; `truth` is an answer."""
        return self.answer() == truth


def killed_at_random_moments(home: Path, count: int, rng: random.Random) -> Tally:
    tally = Tally("advise: `kill -9` at a random moment")
    return kills.killed_at_random(tally, Asked, _truth(), home, count, rng)


def killed_at_every_durable_step(home: Path, count: int, rng: random.Random) -> Tally:
    tally = Tally("advise: `kill -9` before and after each `fsync` and rename")
    return kills.killed_at_durable_steps(tally, Asked, _truth(), home, count, rng)


def disk_full(home: Path, count: int, rng: random.Random) -> Tally:
    sizes = rng.sample(PAGES, min(count, len(PAGES)))
    return disks.filled(Tally("advise: disk full (small tmpfs)"), Asked, _truth(), home, sizes, "make room and ask")


def ctrl_c(home: Path, count: int, rng: random.Random) -> Tally:
    """At a random moment after the first run has begun; the same command goes on from there."""
    tally, life = Tally("advise: Ctrl-C"), Asked(home / "timed").seconds()
    for number in range(count):
        asked = Asked(home / f"asked{number}")
        child = asked.start()
        wait_for(lambda asked=asked: asked.events())
        time.sleep(rng.uniform(0, 0.3 * life))
        if child.is_alive():
            os.kill(child.pid or 0, signal.SIGINT)
        code = ended(child)
        if code == 0:
            tally.struck["was done"] += 1
        else:
            tally.tried += 1
            training = asked.events()[-1][1] == "training"
            owed = ["Aborted!", *["stopped; finished runs are kept in"] * training]
            tally.expect(asked, 1, code, *owed)
            tally.struck[kept(len(asked.acknowledged()), "run")] += 1
        tally.settle(asked, _truth())
    return tally


def two_at_once(home: Path, count: int, rng: random.Random) -> Tally:
    """The same question asked twice at once, with one folder."""
    tally = Tally("advise: the same question twice at once in one folder")
    for number in range(count):
        first, second = Asked(home / f"{number}a"), Asked(home / f"{number}b")
        first.out.mkdir(parents=True)
        second.home.mkdir()
        second.out.symlink_to(first.out)
        children = [(first, first.start())]
        time.sleep(rng.uniform(0, 0.5))
        children.append((second, second.start()))
        for asked, child in children:
            tally.expect(asked, 0, ended(child))
            tally.different += not asked.same(_truth())
        tally.tried += 1
        tally.settle(first, _truth())
    return tally


@cache
def _truth() -> dict[str, Any]:
    """The answer that nothing disturbs."""
    with TemporaryDirectory() as folder:
        asked = Asked(Path(folder))
        if asked.run():
            raise RuntimeError(asked.said)
        return asked.answer()
