"""Where the laws come from: author and year -> one reference line and one BibTeX entry."""

from __future__ import annotations

from typing import NamedTuple


class Source(NamedTuple):
    """A source as one line of text and as BibTeX."""

    reference: str
    bibtex: str


def _arxiv(key: str, first: str, authors: str, title: str, year: int, number: str) -> Source:
    reference = f"{first} {year}, arXiv {number}"
    entry = f"@misc{{{key},\n  author = {{{authors}}},\n  title = {{{title}}},\n  year = {{{year}}},\n"
    return Source(reference, entry + f"  eprint = {{{number}}},\n  archivePrefix = {{arXiv}}\n}}")


GOYAL_2017 = _arxiv(
    "goyal2017accurate",
    "Goyal et al.",
    r"Goyal, Priya and Doll{\'a}r, Piotr and Girshick, Ross and Noordhuis, Pieter and Wesolowski, Lukasz and "
    "Kyrola, Aapo and Tulloch, Andrew and Jia, Yangqing and He, Kaiming",
    "Accurate, Large Minibatch {SGD}: Training {ImageNet} in 1 Hour",
    2017,
    "1706.02677",
)
KRIZHEVSKY_2014 = _arxiv(
    "krizhevsky2014one",
    "Krizhevsky",
    "Krizhevsky, Alex",
    "One Weird Trick for Parallelizing Convolutional Neural Networks",
    2014,
    "1404.5997",
)
LI_2024 = _arxiv(
    "li2024surge",
    "Li et al.",
    "Li, Shuaipeng and Zhao, Penghao and Zhang, Hailin and Sun, Xingwu and Wu, Hao and Jiao, Dian and others",
    "Surge Phenomenon in Optimal Learning Rate and Batch Size Scaling",
    2024,
    "2405.14578",
)
MALLADI_2022 = _arxiv(
    "malladi2022sdes",
    "Malladi et al.",
    "Malladi, Sadhika and Lyu, Kaifeng and Panigrahi, Abhishek and Arora, Sanjeev",
    "On the {SDEs} and Scaling Rules for Adaptive Gradient Algorithms",
    2022,
    "2205.10287",
)
MCCANDLISH_2018 = _arxiv(
    "mccandlish2018empirical",
    "McCandlish et al.",
    "McCandlish, Sam and Kaplan, Jared and Amodei, Dario and {OpenAI Dota Team}",
    "An Empirical Model of Large-Batch Training",
    2018,
    "1812.06162",
)
ROLNICK_2017 = _arxiv(
    "rolnick2017deep",
    "Rolnick et al.",
    "Rolnick, David and Veit, Andreas and Belongie, Serge and Shavit, Nir",
    "Deep Learning is Robust to Massive Label Noise",
    2017,
    "1705.10694",
)
ZEILER_2012 = _arxiv(
    "zeiler2012adadelta",
    "Zeiler",
    "Zeiler, Matthew D.",
    "{ADADELTA}: An Adaptive Learning Rate Method",
    2012,
    "1212.5701",
)
ZHANG_2019 = _arxiv(
    "zhang2019which",
    "Zhang et al.",
    "Zhang, Guodong and Li, Lala and Nado, Zachary and Martens, James and Sachdeva, Sushant and "
    "Dahl, George E. and Shallue, Christopher J. and Grosse, Roger",
    "Which Algorithmic Choices Matter at Which Batch Sizes? Insights From a Noisy Quadratic Model",
    2019,
    "1907.04164",
)
EFFBATCH = Source(
    "The effbatch developers 2026, this package",
    "@software{effbatch,\n  author = {{The effbatch developers}},\n  title = {effbatch},\n  year = {2026}\n}",
)
