"""One call: a network, data, what is known of their labels and a recipe -> an `Advice`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, Literal

from effbatch.advice.alpha_interval import times
from effbatch.advice.answers import Advice, Answer, Cost, Data, LabelsAsked
from effbatch.advice.clean_accuracy import on_clean_labels
from effbatch.advice.labels_pay import LINEAR, labels_worth
from effbatch.advice.noise import NoAlpha, Noise, UnknownAlpha, audits, effective_alpha
from effbatch.advice.prediction import answered
from effbatch.advice.probing import Probing, Subject, costs_at, other_hump, probed, subject
from effbatch.advice.question import Anchor, Question, asked, gathered
from effbatch.advice.recommendation import Recommendation
from effbatch.advice.untrained import about_normalising, accuracy_answer, rate_answer, untrained
from effbatch.audit.checked_labels import by_chance, checked_in, counts_of
from effbatch.core.errors import InputError
from effbatch.core.estimate import Estimate, Interval
from effbatch.core.formats import value_text
from effbatch.data.classes import majority_share
from effbatch.data.datasets import as_dataset, names
from effbatch.data.held_out import FEWEST_SCORED, checked_out
from effbatch.laws.base import OPTIMIZERS, one_of
from effbatch.plan.label_noise import given_labels
from effbatch.plan.recipe import Recipe, steps_bought
from effbatch.probe.effort import WHOLE
from effbatch.probe.rule import Probe

if TYPE_CHECKING:
    from torch import nn

    from effbatch.data.dataset import DataSet

BATCH_SIZE = 128  # where none is given
AS_GOOD = 0.01  # accuracies closer than this are told as equally good
OCTAVES = (-2, -1, 1, 2)  # of the batch size, to which the law carries a rate
LEVEL = 0.9  # of an interval that holds recorded errors
FAR_APART = 64  # times the lower end of an interval: a hump is hardly wider
FEW_PASSES = 3  # beyond that memorising of fixed labels may begin
LABELS = ("clean", "noisy")
OF_THE_DATA = {"checked labels", "counts", "the estimate"}  # what says that the labels given are noisy
MOVED = {"probe": "is the default now: leave it out, or give training=False for laws and theory alone"}
NOT_KNOWN = "how many labels are wrong is not known: check some by hand (--checked-labels) for accuracy on clean ones"

FEW_CLASSES = 3  # up to that wrong labels meet wrong answers by chance as often as by people's likes
BY_PEOPLE = (
    "people err where networks do, which lowers the accuracy on clean labels (3 to 10 points on CIFAR-10N): "
    f"{FEWEST_SCORED} checked ones (--checked-labels) tell it"
)
MISALIGNED = "they count the training examples from 0, in the order of the data; off by one, α and rate mean nothing"
WITHOUT_ALPHA = (
    "look whether the labels fit the examples, and whether checked and given labels are numbered alike; check more of "
    "them, best as counts of right against given labels (--counts): labels that are wrong in a regular way can be "
    "learned from; without any such option advise trains on the labels as they are"
)
TAKEN_AS_RIGHT = (
    "the theory takes the labels as right, but they are noisy: rate and accuracy come out too low (mlp1 on digits at "
    "alpha = 4: 15 % in place of 87 %, at half the rate; one draw)"
)


def advise(
    network: str | nn.Module | Callable[[], nn.Module],
    data: Any,
    *,
    labels: Literal["clean", "noisy"] | None = None,
    noise: str | Noise = "uniform",
    recipe: Recipe | None = None,
    batch_sizes: Sequence[int] = (),
    anchor: Anchor | None = None,
    checked_labels: Any = None,
    **given: Any,
) -> Advice:
    """The best learning rate of a training run, its plateau and the accuracy to expect, from short real runs of it.

    network      a built-in name, `package.module:function`, a function without arguments that returns an nn.Module,
                 or an nn.Module, which stays as it is (then all runs begin at its weights)
    data         a name (see `data.datasets`), a DataSet, or arrays (x_train, y_train, x_test, y_test): images floating
                 (n, C, H, W), labels from 0. The test part is never looked at
    labels       of the data: "clean", and noise of α is simulated on top, or "noisy", and the runs see them as they
                 are. Those of built-in data are clean; checked labels and counts say that they are noisy, as does
                 an estimate, and knowing nothing; beside anything else it has to be said
    noise        a kind of noise, or all that is known of it (`Noise`)
    recipe       optimiser, schedule, regularisation and budget; it needs a budget, the same for all batch sizes
    batch_sizes  each is probed; 128 without
    anchor       a rate that was tuned: without training, laws carry it over
    checked_labels  training examples checked by hand, a random sample of them: rows (index, right label), or a file.
                 They tell α, and from 300 of them on (at most half of all) also score the runs, on clean labels
    given        fields of `Noise`, `Recipe` and `Probing` one by one: alpha, noise_rate, checked, wrong, ...,
                 optimizer, schedule, steps, ..., training=False for laws and theory alone, effort, rate, out, seed, ...
    Where nothing tells α (all checked labels are wrong), nothing is trained, and there is no rate, with the reason.
    Raises InputError for values out of range, and where network and data do not fit together.

    >>> advice = effbatch.advise("mlp1", "digits", alpha=4, steps=100, batch_sizes=(16, 64), training=False)
    >>> advice.batch_size
    64
    """
    of_runs = [field.name for field in fields(Probing)]
    how = Probing(**{name: given.pop(name) for name in of_runs if name in given})
    noise, recipe = gathered(noise, recipe, given, moved=MOVED, others=of_runs)
    if not recipe.budget:
        raise InputError("advice needs a budget, got none: give steps, examples or epochs, one of them")
    dataset = as_dataset(data)
    held_out = warning = None
    if checked_labels is not None:
        index, right = checked_in(checked_labels, dataset)
        counts = counts_of(index, right, dataset)
        noise, held_out, warning = replace(noise, counts=counts), checked_out(dataset, index, right), by_chance(counts)
        if warning:
            how.tell(f"{warning}; {MISALIGNED}")
    labels_are = _labels_are(labels, dataset, noise, checked=checked_labels is not None)
    if (theirs := given_labels(dataset)) is not None and noise.name == "uniform" and not noise.sources:
        noise = Noise(transition=theirs.matrix)
    noise = _level(noise, labels_are)
    if recipe.epochs is not None:
        recipe = replace(recipe, epochs=None, examples=max(1, math.ceil(recipe.epochs * len(dataset.y_train))))
    own = (recipe.batch_size,) if recipe.batch_size is not None else ()
    recipes = [replace(recipe, batch_size=size) for size in dict.fromkeys((*own, *batch_sizes)) or (BATCH_SIZE,)]
    of = replace(subject(network, dataset), held_out=held_out)
    from effbatch.networks.kind import kind_of_network

    try:
        noise = noise.on(dataset)
        kind = kind_of_network(of.make(0))
        questions = [
            asked(noise, each, num_classes=dataset.num_classes, anchor=anchor, network=kind) for each in recipes
        ]
        effective_alpha(questions[0].labels)
    except UnknownAlpha as unknown:
        return _warned(_unanswered(of, recipes, unknown, labels_are), warning)
    return _warned(_advised(of, questions, how, labels_are), warning)


def _advised(of: Subject, questions: Sequence[Question], how: Probing, labels_are: Literal["clean", "noisy"]) -> Advice:
    """The answers to all questions, one for each batch size, and the one to choose."""
    from effbatch.networks.kind import normalises

    dataset = of.data
    scored: Literal["as given", "checked"] = "as given" if of.held_out is None else "checked"
    if how.training:
        probes, cost = probed(of, questions, how, simulated=labels_are == "clean")
        answers = [_from_runs(q, found, labels_are, scored) for q, found in zip(questions, probes, strict=True)]
        remarks = _remarks(of, questions[0], labels_are)
    else:
        answers, remarks = _from_theory(of, questions, labels_are)
        cost = Cost(0.0, 0.0)
    chosen, as_good, why = _choice(answers, by_examples=questions[0].recipe.examples is not None)
    question = questions[answers.index(chosen)]
    passes = chosen.batch_size * chosen.steps / len(dataset.y_train)
    if chosen.probe is not None and chosen.probe.kind == "short":
        if labels_are == "noisy" and other_hump(of, question):
            remarks.insert(0, _higher(passes, cost, normalised=normalises(of.make(0))))
    elif chosen.probe is not None:
        remarks[:0] = _humps(chosen.learning_rate)
    elif not how.training and passes > FEW_PASSES:
        remarks.append(
            f"every example would be used {passes:.3g} times: this answer takes noisy labels as drawn afresh, and "
            "knows nothing of memorising labels that stay"
        )
    return Advice(
        network=of.name,
        data=_described(dataset),
        labels=LabelsAsked(
            are=labels_are,
            alpha=question.alpha,
            noise=answered(question).noise if question.recipe.optimizer in OPTIMIZERS else {},
            majority=majority_share(dataset.y_train),
            audits=audits(question.alpha, dataset.num_classes) if question.noise.name == "uniform" else (),
            scored=scored,
        ),
        recipe=replace(question.recipe, steps=chosen.steps, examples=None),
        answers=tuple(answers),
        others=tuple(_carried(question, chosen, answers)),
        chosen=chosen,
        as_good=as_good,
        why=why,
        pay=labels_worth(_on_clean(chosen), question.labels, chosen.steps, _growth(chosen)),
        yours=None if how.rate is None else (how.rate, costs_at(how.rate, chosen)),
        cost=cost,
        passes=passes,
        limits=tuple(remarks),
    )


def _warned(advice: Advice, warning: str | None) -> Advice:
    """The advice with a warning before all else, also where it has no rate."""
    if warning is None:
        return advice
    first = f"{warning}; {MISALIGNED}"

    def said(answer: Answer) -> Answer:
        rate = answer.learning_rate
        return answer if rate.value is not None else replace(answer, learning_rate=replace(rate, reason=warning))

    answers = tuple(map(said, advice.answers))
    chosen = answers[advice.answers.index(advice.chosen)]
    return replace(advice, answers=answers, chosen=chosen, limits=(first, *advice.limits))


def _described(data: DataSet) -> Data:
    return Data(data.name, len(data.y_train), data.image_shape, data.num_classes, read_as=data.in_words)


def _unanswered(
    of: Subject, recipes: Sequence[Recipe], unknown: UnknownAlpha, labels_are: Literal["clean", "noisy"]
) -> Advice:
    """No rate and no accuracy, as no α is known; nothing is trained for that."""
    nothing = Estimate(None, reason=unknown.reason)
    sizes = [one.batch_size for one in recipes if one.batch_size is not None]
    answers = [
        Answer(
            batch_size=size,
            steps=steps_bought(recipes[0].budget, size),
            learning_rate=nothing,
            accuracy=nothing,
            of="clean labels",
            law=None,
            why=unknown.reason,
        )
        for size in sizes
    ]
    data, chosen = of.data, answers[0]
    return Advice(
        network=of.name,
        data=_described(data),
        labels=LabelsAsked(
            are=labels_are,
            alpha=NoAlpha(unknown.alpha.interval, unknown.reason),
            noise={},
            majority=majority_share(data.y_train),
            audits=(),
        ),
        recipe=replace(recipes[0], steps=chosen.steps, examples=None),
        answers=tuple(answers),
        others=(),
        chosen=chosen,
        as_good=(),
        why=unknown.reason,
        pay=None,
        yours=None,
        cost=Cost(0.0, 0.0),
        passes=chosen.batch_size * chosen.steps / len(data.y_train),
        limits=(WITHOUT_ALPHA,),
    )


# --- what was asked ---


def _labels_are(said: str | None, data: DataSet, noise: Noise, *, checked: bool) -> Literal["clean", "noisy"]:
    """Whether the labels of the data are clean or noisy; InputError where nobody knows."""
    if said is not None:
        one_of("labels", said, LABELS)
    if data.name in names():
        are = "clean" if data.clean_labels is None else "noisy"
        if said not in (None, are):
            raise InputError(f"the labels of {data.name} are {are}, got labels = {said!r}: leave it out")
        said = are
    if checked and said == "clean":
        raise InputError(f"checked labels say how noisy those of {data.name} are, got them as clean: leave one out")
    if said is None and noise.sources and not OF_THE_DATA & set(noise.sources):
        raise InputError(
            f"advice needs to know whether the labels of {data.name} are clean, and this noise is simulated on top, or "
            f"noisy, and this much is in them; got {noise.sources[0]} alone: give --labels clean or --labels noisy, in "
            'Python labels="clean" or labels="noisy"'
        )
    return "clean" if said == "clean" else "noisy"


def _level(noise: Noise, labels_are: str) -> Noise:
    """The noise with α = 0 where labels are clean and nothing is said to come on top."""
    if labels_are == "noisy" or noise.sources:
        return noise
    if noise.name != "uniform":
        raise InputError(f"{noise.name} noise needs to know how many labels are wrong, got nothing: give alpha")
    return replace(noise, alpha=0.0)


def _choice(answers: Sequence[Answer], *, by_examples: bool) -> tuple[Answer, tuple[int, ...], str]:
    """The batch size of highest accuracy, those about as good, and why."""
    known = [(a.accuracy.value, a) for a in answers if a.accuracy.value is not None]
    if len(answers) == 1:
        return answers[0], (answers[0].batch_size,), "the only batch size asked for"
    if not known:
        reason = answers[0].accuracy.reason
        return answers[0], (), f"which batch size is best cannot be told: {reason}; this is the first asked for"
    best, chosen = max(known, key=lambda pair: pair[0])
    as_good = tuple(a.batch_size for value, a in known if value >= best - AS_GOOD)
    why = f"the highest accuracy of n = {len(known)} batch sizes"
    if by_examples:
        why += "; at a fixed number of examples smaller batches make more steps"
    else:
        why += "; at a fixed number of steps larger batches see more labels, which have to be paid for"
    return chosen, as_good, why


# --- from runs ---


def _from_runs(question: Question, found: Probe, labels_are: Literal["clean", "noisy"], by: str) -> Answer:
    """The answer of a probe: its rate also over the interval of a simulated α, its accuracy on clean labels.

    by  which labels scored the runs, "as given" or "checked"
    """
    rate, accuracy = found.learning_rate, found.accuracy
    scored: Estimate | None = None
    how = "fitted to short" if found.kind == "short" else "the best of whole"
    why = f"{how} real runs worth {found.full_runs:.2g} full runs"
    if labels_are == "clean" and question.alpha.interval is not None and rate.value is not None:
        factors = _law_at(question, rate.value, question.setting.batch_size, alone=True).factor_interval or (None, None)
        low, high = (_product(*pair) for pair in zip((rate.low, rate.high), factors, strict=True))
        rate = replace(rate, low=low, high=high)
        why += f" at α = {question.alpha.value:.3g}, carried over the interval of α by the law"
    on_clean = labels_are == "clean" or bool(question.noise.sources)
    if labels_are == "noisy" and on_clean and by == "as given":
        bounded = question.alphas.bounded
        known = question.alphas.at_ends(question.labels_in) if bounded else question.labels_in[:2]
        converted = on_clean_labels(accuracy, known, bounded=bounded, by_people=True)
        if on_clean := converted.value is not None:
            scored, accuracy = accuracy, converted
        else:
            accuracy = replace(accuracy, reason=converted.reason)
    return Answer(
        batch_size=int(question.setting.batch_size),
        steps=_steps(question),
        learning_rate=rate,
        plateau=found.plateau,
        accuracy=accuracy,
        of="clean labels" if on_clean else "noisy labels",
        as_scored=scored,
        law="probe",
        why=why,
        stop_at=found.stop_at,
        probe=found,
    )


def _higher(passes: float, cost: Cost, *, normalised: bool) -> str:
    """Where memorising may leave a second hump of rates beside the one that short runs see, and what looks for it."""
    told = "if right ones can be told without error, the best rate may lie above the interval; train once at"
    if normalised:
        told = "in networks that normalise, the best rate may lie beside the interval; train once at ⅛,"
    whole = f"or give --effort {WHOLE:g} (full runs, where {cost.full_runs:.2g} were spent)"
    return f"wrong labels are seen {passes:.2g} times: {told} 8 and at 64 times the rate, too, {whole}"


def _humps(rate: Estimate) -> list[str]:
    """Where whole runs leave so many rates that more than one hump may lie among them."""
    if rate.interval is None or rate.floats.high <= FAR_APART * rate.floats.low:
        return []
    ends = " to ".join(value_text(end) for end in rate.interval)
    return [
        f"held-out labels do not tell which of the rates from {ends} is best, and some between may be worse: more "
        "labels, or some checked by hand, would tell"
    ]


def _remarks(of: Subject, question: Question, labels_are: str) -> list[str]:
    """Where an answer from real runs may not hold."""
    from effbatch.networks.classifier import remarks as of_outputs

    remarks = [*of_outputs(of.make(0), of.data.x_train[:8])]
    if question.anchor is not None and question.recipe.optimizer in OPTIMIZERS:
        law = answered(question).recommended
        remarks.insert(0, f"carried over from your anchor by {law.law}, the rate would be {law.value:.3g}")
    if labels_are == "noisy" and not question.noise.sources:
        remarks.append(NOT_KNOWN)
    elif labels_are == "noisy" and of.held_out is None and question.noise.name == "uniform":
        remarks += [BY_PEOPLE] * (of.data.num_classes > FEW_CLASSES)
    if labels_are == "noisy" and question.noise.law is not None and question.noise.transition is None:
        remarks.append("the matrix was counted on a sample: the interval of the accuracy holds nothing of that")
    if labels_are == "clean" and question.alpha.value > 0:
        remarks.append(
            f"{question.noise.name} noise was simulated on clean labels and drawn afresh at every visit: real labels "
            "err in their own ways, and stay wrong over all passes"
        )
    if of.given:
        remarks.append("all runs begin at the weights given, so their spread is that of the order of the data alone")
    return remarks


def _carried(question: Question, chosen: Answer, answers: Sequence[Answer]) -> list[Answer]:
    """The chosen rate at batch sizes where no run was made, by the law; nothing where no law knows the optimiser."""
    rate, B = chosen.learning_rate, chosen.batch_size
    if chosen.probe is None or rate.value is None or question.recipe.optimizer not in OPTIMIZERS:
        return []
    there = []
    for size in (int(B * 2.0**octave) for octave in OCTAVES):
        if size < 1 or size in {a.batch_size for a in answers}:
            continue
        law = _law_at(question, rate.value, size)
        low, high = (
            _product(*pair) for pair in zip((rate.low, rate.high), law.factor_interval or (None,) * 2, strict=True)
        )
        reason = None if law.n else f"no errors of {law.law} are on record here: see why"
        level = rate.level if law.n else None
        there.append(
            Answer(
                batch_size=size,
                steps=_steps(question, size),
                learning_rate=Estimate(law.value, low, high, n=law.n, level=level, reason=reason),
                accuracy=Estimate(None, reason="no run was made at this batch size"),
                of=chosen.of,
                law=law.law,
                why=f"carried from B = {B}: {law.why}",
                carried=True,
            )
        )
    return there


def _law_at(question: Question, rate: float, size: int, *, alone: bool = False) -> Recommendation:
    """A rate carried to a batch size at the same α; `alone`: over the interval of α, without recorded errors."""
    s, noise = question.setting, question.noise
    if not alone and noise.law is None:
        known: dict[str, Any] = dict.fromkeys(("alpha_interval", "noise_rate", "checked", "wrong", "counts"))
        noise = replace(noise, alpha=s.alpha, **known)
    there = asked(
        noise,
        replace(question.recipe, batch_size=size),
        num_classes=s.num_classes,
        anchor=Anchor(rate, int(s.batch_size), s.alpha),
        evidence={} if alone else None,
        network=question.network,
    )
    return answered(there).recommended


def _product(limit: float | None, factor: float | None) -> float | None:
    return None if limit is None or factor is None else limit * factor


def _growth(answer: Answer) -> Estimate:
    """The power of the labels seen by which d′ grows: what the runs have shown, else that of the linear regime."""
    return LINEAR if answer.probe is None or answer.probe.growth is None else answer.probe.growth


def _on_clean(answer: Answer) -> Estimate:
    """The accuracy on clean labels, None where that is not known."""
    if answer.of == "clean labels":
        return answer.accuracy
    return Estimate(None, reason=answer.accuracy.reason or NOT_KNOWN)


def _steps(question: Question, size: int | None = None) -> int:
    return steps_bought(question.recipe.budget, size or question.setting.batch_size)


# --- without ---


def _from_theory(
    of: Subject, questions: Sequence[Question], labels_are: Literal["clean", "noisy"]
) -> tuple[list[Answer], list[str]]:
    """What theory and laws say where nothing may be trained, and where that may not hold."""
    theory = untrained(of, questions)
    law = "linearised" if isinstance(theory, str) else theory.law
    answers = []
    for question in questions:
        chosen = answered(question, {law: rate_answer(theory, question)}).recommended
        recorded = chosen.law in question.scores
        answers.append(
            Answer(
                batch_size=int(question.setting.batch_size),
                steps=_steps(question),
                learning_rate=_estimate(chosen.value, chosen.interval, chosen, recorded),
                factor=None
                if chosen.factor is None
                else _estimate(chosen.factor, chosen.factor_interval, chosen, recorded),
                accuracy=accuracy_answer(theory, question, chosen.value),
                of="noisy labels" if labels_are == "noisy" else "clean labels",
                law=chosen.law,
                why=_why(chosen),
            )
        )
    recipe = questions[0].recipe
    remarks = ["nothing was trained: on networks with normalisation, or other than small ones, this may be far off"]
    if labels_are == "noisy" and not isinstance(theory, str):
        remarks.insert(0, TAKEN_AS_RIGHT)
    remarks += [f"{', '.join(recipe.regularisation)}: theory and laws know nothing of it"] * bool(recipe.regularisation)
    remarks += about_normalising(of.make(0), recipe, of.data.num_classes)
    if not isinstance(theory, str):
        name = "the linearised theory" if theory.depth is None else "kernels that move"
        remarks.append(f"{name}: {theory.regime}")
    return answers, remarks


def _why(chosen: Recommendation) -> str:
    known = chosen.covers is None or chosen.covers in chosen.why
    return chosen.why if known else f"{chosen.why}; its interval covers {chosen.covers}"


def _estimate(value: float | None, interval: Interval | None, chosen: Recommendation, recorded: bool) -> Estimate:
    low, high = times(interval, 1.0) or (None, None)
    reason = None if value is not None else "only the factor on the rate best with clean labels is known"
    return Estimate(value, low, high, n=chosen.n, level=LEVEL if recorded and interval else None, reason=reason)
