"""The CLAIM checklist, 2024 update, with the answers that a study's folder can give.

Source: Tejani et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024
Update, Radiology: Artificial Intelligence 2024;6(4):e240300. The items are paraphrased.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from imil.study.report.claim_answers import ANSWERS
from imil.study.report.findings import Findings

State = Literal["answered", "in part", "for the authors"]


@dataclass(frozen=True)
class Item:
    """One item of the checklist.

    Args:
        number: 1 to 44.
        part: the part of a paper that it belongs to.
        request: what is to be reported.
        state: whether the folder answers it.
        answer: what the folder says, and what is left to the authors.
    """

    number: int
    part: str
    request: str
    state: State
    answer: str


def checklist(findings: Findings) -> list[Item]:
    """The 44 items in their order."""
    return [
        Item(number, part, request, *_answer(findings, number, for_authors))
        for number, (part, request, for_authors) in enumerate(ITEMS, 1)
    ]


def _answer(findings: Findings, number: int, for_authors: str) -> tuple[State, str]:
    """State and answer of an item; `for_authors` is what only the authors know."""
    answer = ANSWERS[number](findings) if number in ANSWERS else ""
    if not answer:
        text = for_authors or "not available from the study's folder yet."
        return "for the authors", text[:1].upper() + text[1:]
    if for_authors:
        return "in part", f"{answer} For the authors: {for_authors}"
    return "answered", answer


TITLE, INTRODUCTION = "Title and abstract", "Introduction"
DESIGN, DATA = "Methods: design", "Methods: data"
REFERENCE = "Methods: reference standard"
PARTITIONS, MODEL, TRAINING = "Methods: partitions", "Methods: model", "Methods: training"
EVALUATION, RESULTS = "Methods: evaluation", "Results"
DISCUSSION, OTHER = "Discussion", "Other information"

# part, what to report, what is left to the authors (nothing where the folder has all of it)
ITEMS: tuple[tuple[str, str, str], ...] = (
    (TITLE, "Title: use of AI, and its category", "to be written."),
    (TITLE, "Structured abstract: design, methods, results, conclusions", "to be written."),
    (INTRODUCTION, "Clinical background and intended use", "to be written."),
    (INTRODUCTION, "Aims and hypotheses", "to be written."),
    (DESIGN, "Prospective or retrospective", "how the images were acquired."),
    (DESIGN, "Study goal", "what the study is meant to lead to."),
    (DATA, "Data sources", "name the hospitals, the years, and where to obtain the data."),
    (DATA, "Inclusion and exclusion criteria", "the criteria by which images were selected."),
    (DATA, "Preprocessing", ""),
    (DATA, "Selection of data subsets", "how the source selected its images."),
    (DATA, "De-identification", "how, and by whom."),
    (DATA, "Missing data", "what else was missing, and why."),
    (DATA, "Image acquisition protocol", "name devices and protocols."),
    (REFERENCE, "Definition of the reference standard", "how the labels were obtained."),
    (REFERENCE, "Rationale for the reference standard", "to be written."),
    (REFERENCE, "Annotators and their qualification", "of labels, masks and readers."),
    (REFERENCE, "Annotation of the test set", "how, and with which tools."),
    (REFERENCE, "Variability between annotators", "of the labels."),
    (PARTITIONS, "Assignment of data to partitions", ""),
    (PARTITIONS, "Level at which partitions are disjoint", ""),
    (PARTITIONS, "Intended sample size", "why this size was chosen."),
    (MODEL, "Description of the model", ""),
    (MODEL, "Software with versions", "name the computer."),
    (MODEL, "Initialisation of the weights", ""),
    (TRAINING, "Training: augmentation, hyperparameters, number of models", ""),
    (TRAINING, "Selection of the final model", ""),
    (TRAINING, "Ensembling", ""),
    (EVALUATION, "Metrics of performance", ""),
    (EVALUATION, "Tests and measures of uncertainty", ""),
    (EVALUATION, "Robustness or sensitivity analysis", ""),
    (EVALUATION, "Explainability", "how the heat-maps are to be interpreted."),
    (EVALUATION, "Internal testing", ""),
    (EVALUATION, "External testing", ""),
    (EVALUATION, "Clinical trial registration", "give the number, or state that there is none."),
    (RESULTS, "Numbers included and excluded, with a flow diagram", "draw the flow diagram."),
    (RESULTS, "Demographics of each partition", "add what is known beyond that."),
    (RESULTS, "Performance on every partition", ""),
    (RESULTS, "Performance with its precision", ""),
    (RESULTS, "Failure analysis", "discuss the errors in clinical terms."),
    (DISCUSSION, "Limitations, bias, generalisability", "discuss them."),
    (DISCUSSION, "Implications for practice", "to be written."),
    (OTHER, "Access to the full study protocol", "where it is kept."),
    (OTHER, "Availability of software, model and data", "where, and on which terms."),
    (OTHER, "Funding, and the role of funders", "to be written."),
)
