"""Where laws and claims come from: author and year -> one short line and one BibTeX entry; an entry -> a full line."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

MOST_AUTHORS = 6  # named in a full line; of more, the first three
_ACCENTS = {"'": "\u0301", "`": "\u0300", '"': "\u0308", "^": "\u0302", "~": "\u0303", "k": "\u0328"}


class Source(NamedTuple):
    """A source as one line of text and as BibTeX."""

    reference: str
    bibtex: str


class Reference(NamedTuple):
    """A source for readers: authors, year, title and where it appeared; the address of its page, or nothing."""

    text: str
    url: str


def readable(bibtex: str) -> Reference:
    """An entry with author, year and title, values in braces or quotes, as one line; any other text as it is."""
    values = re.findall(r'(\w+)\s*=\s*(?:\{((?:[^{}]|\{[^{}]*\})*)\}|"([^"]*)"|(\d+))', bibtex)
    fields = {name.lower(): _plain(" ".join((a or b or c).split())) for name, a, b, c in values}
    if not bibtex.startswith("@") or not {"author", "year", "title"} <= fields.keys():
        return Reference(bibtex, "")
    where = fields.get("publisher", "")
    if "journal" in fields:
        where = " ".join(filter(None, (fields["journal"], fields.get("volume"))))
        where += f", {fields['pages']}" if "pages" in fields else ""
    if "eprint" in fields:
        where = f"arXiv:{fields['eprint']}"
    parts = (f"{_authors(fields['author'])} ({fields['year']})", fields["title"], where)
    url = f"https://arxiv.org/abs/{fields['eprint']}" if "eprint" in fields else ""
    return Reference(". ".join(part for part in parts if part) + ".", url)


def _authors(names: str) -> str:
    """ "Doe, Jane and Roe, R. and others" -> "Doe, J., Roe, R. et al."."""
    people = names.split(" and ")
    more = people[-1] == "others"
    people = people[:-1] if more else people
    if len(people) > MOST_AUTHORS:
        people, more = people[:3], True
    short = []
    for person in people:
        last, _, first = person.partition(", ")
        initials = " ".join(f"{name[0]}." for name in re.split(r"[ ]", first) if name)
        short.append(f"{last}, {initials}" if initials else last)
    return ", ".join(short) + " et al." * more


def _plain(text: str) -> str:
    """TeX's accents as letters, without braces."""
    text = re.sub(r"\{\\([\'`\"^~k]) ?(\w)\}", lambda m: unicodedata.normalize("NFC", m[2] + _ACCENTS[m[1]]), text)
    return text.replace("{\\l}", "ł").replace("{", "").replace("}", "")


def _arxiv(key: str, first: str, authors: str, title: str, year: int, number: str) -> Source:
    reference = f"{first} {year}, arXiv {number}"
    entry = f"@misc{{{key},\n  author = {{{authors}}},\n  title = {{{title}}},\n  year = {{{year}}},\n"
    return Source(reference, entry + f"  eprint = {{{number}}},\n  archivePrefix = {{arXiv}}\n}}")


def _published(kind: str, key: str, first: str, authors: str, title: str, year: int, **where: str) -> Source:
    fields = {"author": authors, "title": title, "year": str(year), **where}
    lines = ",\n".join(f"  {name} = {{{value}}}" for name, value in fields.items())
    return Source(f"{first} {year}", f"@{kind}{{{key},\n{lines}\n}}")


ARPIT_2017 = _arxiv(
    "arpit2017closer",
    "Arpit et al.",
    r"Arpit, Devansh and Jastrz{\k e}bski, Stanis{\l}aw and Ballas, Nicolas and Krueger, David and "
    "Bengio, Emmanuel and Kanwal, Maxinder S. and Maharaj, Tegan and Fischer, Asja and Courville, Aaron and "
    "Bengio, Yoshua and Lacoste-Julien, Simon",
    "A Closer Look at Memorization in Deep Networks",
    2017,
    "1706.05394",
)
BORDELON_2022 = _arxiv(
    "bordelon2022learning",
    "Bordelon and Pehlevan",
    "Bordelon, Blake and Pehlevan, Cengiz",
    "Learning Curves for {SGD} on Structured Features",
    2022,
    "2106.02713",
)
CLOPPER_1934 = _published(
    "article",
    "clopper1934use",
    "Clopper and Pearson",
    "Clopper, C. J. and Pearson, E. S.",
    "The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial",
    1934,
    journal="Biometrika",
    volume="26",
    pages="404",
)
GOYAL_2017 = _arxiv(
    "goyal2017accurate",
    "Goyal et al.",
    r"Goyal, Priya and Doll{\'a}r, Piotr and Girshick, Ross and Noordhuis, Pieter and Wesolowski, Lukasz and "
    "Kyrola, Aapo and Tulloch, Andrew and Jia, Yangqing and He, Kaiming",
    "Accurate, Large Minibatch {SGD}: Training {ImageNet} in 1 Hour",
    2017,
    "1706.02677",
)
GREEN_1966 = _published(
    "book",
    "green1966signal",
    "Green and Swets",
    "Green, David M. and Swets, John A.",
    "Signal Detection Theory and Psychophysics",
    1966,
    publisher="Wiley",
)
HOUDAYER_2004 = _published(
    "article",
    "houdayer2004low",
    "Houdayer and Hartmann",
    "Houdayer, J. and Hartmann, A. K.",
    "Low-temperature behavior of two-dimensional {Gaussian} {Ising} spin glasses",
    2004,
    journal="Physical Review B",
    volume="70",
    pages="014418",
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
