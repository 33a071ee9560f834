"""References as readers see them: accents, many authors, journals, books and arXiv."""

from __future__ import annotations

import pytest

from effbatch.laws import bibliography
from effbatch.laws.bibliography import Source, readable

READABLE = {
    "ARPIT_2017": (
        "Arpit, D., Jastrzębski, S., Ballas, N. et al. (2017). A Closer Look at Memorization in Deep Networks. "
        "arXiv:1706.05394."
    ),
    "CLOPPER_1934": (
        "Clopper, C. J., Pearson, E. S. (1934). The Use of Confidence or Fiducial Limits Illustrated in the Case of "
        "the Binomial. Biometrika 26, 404."
    ),
    "GREEN_1966": "Green, D. M., Swets, J. A. (1966). Signal Detection Theory and Psychophysics. Wiley.",
    "ROLNICK_2017": (
        "Rolnick, D., Veit, A., Belongie, S., Shavit, N. (2017). Deep Learning is Robust to Massive Label Noise. "
        "arXiv:1705.10694."
    ),
}


@pytest.mark.parametrize(("name", "line"), READABLE.items(), ids=READABLE)
def test_an_entry_is_one_line_for_readers(name, line):
    assert readable(getattr(bibliography, name).bibtex).text == line


def test_every_source_names_authors_year_title_and_place():
    sources = {name: value for name, value in vars(bibliography).items() if isinstance(value, Source)}
    assert len(sources) > 10
    for name, source in sources.items():
        text, url = readable(source.bibtex)
        year = name[-4:]
        assert not year.isdigit() or (f" ({year}). " in text and year in source.reference), name
        assert not set(text) & set("{}\\"), name
        assert url == f"https://arxiv.org/abs/{text.rpartition('arXiv:')[2].rstrip('.')}" or "arXiv" not in text, name


def test_other_text_stays_as_it_is():
    assert readable("a talk") == ("a talk", "")
    one_line = '@misc{doe, title={A {B}ig  trial}, author = "Doe, Jane", year=2026}'
    assert readable(one_line) == ("Doe, J. (2026). A Big trial.", "")
    assert readable("@misc{doe, title={No author}}") == ("@misc{doe, title={No author}}", "")
