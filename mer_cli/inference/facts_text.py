"""Say in sentences what is known about a model: on its card, and beside every answer that it gives."""

from __future__ import annotations

from mer_cli.evaluation.statistics import few_subjects
from mer_cli.inference.model import Facts, Score

# Names of F1, recall and accuracy, and what the guesser names.
_CLASSES = ("UF1", "UAR", "accuracy", "the commonest class")
_UNITS = ("mean F1", "mean recall", "of the decisions about units right", "every action unit")


def trained_on(facts: Facts) -> str:
    """Return what a model is and what it was trained on, as a sentence."""
    if not facts.datasets:
        return f"{facts.title}; nobody knows which clips it was trained on."
    faces = " Generated faces: no answer means anything about a real one." if facts.generated else ""
    subjects = "1 subject" if facts.n_subjects == 1 else f"{facts.n_subjects} subjects"
    return f"{facts.title}, trained on {facts.n_clips} clips of {subjects} ({', '.join(facts.datasets)}).{faces}"


def quoted(score: Score, *, of_units: bool = False) -> str:
    """Return the sentences that quote a run: its scores with interval, chance, protocol, epoch rule, clips and seed.

    Parameters
    ----------
    of_units : whether the scores are of action units, not of classes
    """
    f1, recall, accuracy, always = _UNITS if of_units else _CLASSES
    low, high = score.uf1_interval
    generated = " Its faces were generated: that is not a result on any dataset." if score.generated else ""
    few = few_subjects(score.n_subjects)
    return (
        f"The run `{score.run}` has the same settings ({score.protocol}). On {score.n_clips} clips of "
        f"{score.n_subjects} subjects whom its networks had not seen, it reached {f1} {score.uf1:.4f} (95 % interval "
        f"over subjects {low:.4f} to {high:.4f}), {recall} {score.uar:.4f} and {100 * score.accuracy:.2f} % {accuracy}"
        f". Always naming {always} has {f1} {score.chance_uf1:.4f}. Epoch rule {score.rule}, seed {score.seed}."
        f"{generated}{f' {few}' if few else ''}"
    )


def how_good(score: Score | None, *, of_units: bool = False) -> str:
    """Return how good a model's settings are for people that they were not trained on, in sentences."""
    if score is None:
        return "Nobody has measured how good it is: it quotes no finished leave-one-subject-out run."
    told = quoted(score, of_units=of_units)
    return f"{told} Its onsets and apexes were annotated: on spotted intervals it may be worse."


def calibration_text(facts: Facts) -> str:
    """Return what the probabilities rest on, as a sentence."""
    if facts.temperature is None:
        advice = "" if facts.generated else ": mer fit --calibrate RUN makes them so"
        return f"Its probabilities are not calibrated, so they are not shown{advice}."
    return f"Its probabilities are calibrated on held-out subjects (temperature {facts.temperature:.2f})."


def known_of(facts: Facts) -> tuple[str, str, str]:
    """Return what stands beside each answer of a model: what it was trained on, how good it is, its probabilities."""
    return trained_on(facts), how_good(facts.score, of_units=facts.predicts_units), calibration_text(facts)
