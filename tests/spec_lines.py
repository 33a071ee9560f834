"""A small spec as text, and what changes a line of it."""

from __future__ import annotations

SPEC = """
[simulation]
name = "tiny"
title = "Tiny"
[data]
dataset = "digits"
clean_examples = 100
[train]
network = "mlp1"
budget = { steps = 20 }
evaluations = 3
[grid]
alpha = [0, 2.5]
batch_size = [8]
learning_rate = [0.1, 0.4]
seed = 2
[claim]
kind = "collapse"
"""


def with_key(text: str, section: str, lines: str) -> str:
    """The spec with the lines in a section, in place of those of the same keys."""
    ours = {line.partition("=")[0].strip() for line in lines.splitlines()}
    kept, here = [], ""
    for line in text.splitlines():
        here = line if line.startswith("[") else here
        if here != f"[{section}]" or line.partition("=")[0].strip() not in ours:
            kept.append(line)
        if line == f"[{section}]":
            kept.append(lines)
    return "\n".join(kept)
