"""The CLAIM checklist, 2024 update, with what a study's folder can answer filled in.

Source: Tejani et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024
Update, Radiology: Artificial Intelligence 2024;6(4):e240300. The items are put in our own words.
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
        part: of the paper that it belongs to.
        asks: what is to be reported.
        state: whether the folder answers it.
        answer: what the folder says, and what is left to the authors.
    """

    number: int
    part: str
    asks: str
    state: State
    answer: str


def checklist(found: Findings) -> list[Item]:
    """The 44 items in their order."""
    return [
        Item(number, part, asks, *_answered(found, number, left))
        for number, (part, asks, left) in enumerate(ITEMS, 1)
    ]


def _answered(found: Findings, number: int, left: str) -> tuple[State, str]:
    """How far the item is answered, and with what; `left` is what only the authors know."""
    own = ANSWERS[number](found) if number in ANSWERS else ""
    if not own:
        asked = left or "the folder says nothing of it yet."
        return "for the authors", asked[:1].upper() + asked[1:]
    return ("in part", f"{own} For the authors: {left}") if left else ("answered", own)


TITLE, INTRO = "Title and abstract", "Introduction"
DESIGN, DATA, STANDARD = "Methods: design", "Methods: data", "Methods: reference standard"
PARTS, MODEL, TRAINING = "Methods: partitions", "Methods: model", "Methods: training"
EVALUATION, RESULTS = "Methods: evaluation", "Results"
DISCUSSION, OTHER = "Discussion", "Other information"

# part, what is asked, what is left to the authors (nothing where the folder says all of it)
ITEMS: tuple[tuple[str, str, str], ...] = (
    (TITLE, "The title says that AI is used, and of which kind", "write it."),
    (TITLE, "A structured abstract: design, methods, results, conclusions", "write it."),
    (INTRO, "Clinical background, and what the method is meant for", "write it."),
    (INTRO, "Aims and hypotheses", "write them."),
    (DESIGN, "Prospective or retrospective", "say how the images came about."),
    (DESIGN, "The kind of study", "say what it is to lead to."),
    (DATA, "Where the data come from", "name the hospitals, the years, and where to get them."),
    (DATA, "Who was included and who was not", "say by which criteria images were chosen."),
    (DATA, "What was done to the images before training", ""),
    (DATA, "Whether parts of images or of the data were chosen", "say it of the source."),
    (DATA, "How the images were made anonymous", "say how, and by whom."),
    (DATA, "What was done where data were missing", "say what else was missing, and why."),
    (DATA, "How the images were taken", "name devices and protocols."),
    (STANDARD, "What counts as the truth", "say how the labels were obtained."),
    (STANDARD, "Why this truth and no other", "write it."),
    (STANDARD, "Who labelled, and with what training", "say it of labels, masks and readers."),
    (STANDARD, "How the test images were labelled", "say how, and with which tools."),
    (STANDARD, "How far labellers agree", "say it of the labels."),
    (PARTS, "How images were given to training, validation and test", ""),
    (PARTS, "At which level the parts are apart", ""),
    (PARTS, "How large the test set was meant to be, and why", "say why this size was chosen."),
    (MODEL, "The model in detail", ""),
    (MODEL, "Software with versions", "name the machine."),
    (MODEL, "How the weights were initialised", ""),
    (TRAINING, "Training in detail: augmentation, settings, number of models", ""),
    (TRAINING, "How the final model was chosen", ""),
    (TRAINING, "How models were combined, if they were", ""),
    (EVALUATION, "The measures of performance", ""),
    (EVALUATION, "Tests and measures of uncertainty", ""),
    (EVALUATION, "How robust the findings are", ""),
    (
        EVALUATION,
        "How the model's decisions are explained",
        "say how the heat-maps are to be read.",
    ),
    (EVALUATION, "Test on data of the same source", ""),
    (EVALUATION, "Test on data from elsewhere", ""),
    (EVALUATION, "Registration, if it is a clinical trial", "give the number, or say it is none."),
    (RESULTS, "How many were included and left out, with a flow chart", "draw the flow chart."),
    (RESULTS, "Who they were, in each part", "add what is known of them beside."),
    (RESULTS, "Performance on every part of the data", ""),
    (RESULTS, "Estimates of performance with their precision", ""),
    (RESULTS, "What the model gets wrong", "discuss the mistakes in clinical terms."),
    (DISCUSSION, "Limits, bias, how far the findings carry", "discuss them."),
    (DISCUSSION, "What follows for practice", "write it."),
    (OTHER, "Where the full protocol can be found", "say where it is kept."),
    (OTHER, "Where software, model and data can be had", "say where, and on which terms."),
    (OTHER, "Who paid, and what part they had", "write it."),
)
