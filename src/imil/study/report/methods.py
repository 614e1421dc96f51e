"""The paragraphs on methods: ready to be pasted into a paper, and to be checked by its authors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from imil.grid import Grid
from imil.readers.simulated import EVEN_SHARE
from imil.readers.spec import ReaderSpec
from imil.round_settings import most_cases
from imil.settings import TrainSettings
from imil.study.arms import Kind
from imil.study.phrases import count, listed
from imil.study.report.findings import MASKS, Findings
from imil.study.report.methods_shortcut import shortcut_sentences
from imil.study.report.methods_statistics import statistics_sentences
from imil.study.report.methods_treatments import treatment_sentences

ARMS: dict[Kind, str] = {
    "baseline": "a baseline, trained without any of the following",
    "cutmix": "CutMix (a box of each image replaced by that of another, labels mixed by its area; "
    "Yun et al. 2019)",
    "cutout": "CutOut (a black square of 50/224 of the side in each image; DeVries and Taylor "
    "2017)",
    "mixup": "MixUp (each image mixed with another, and labels likewise; Zhang et al. 2018)",
    "imil": "IMIL",
    "no-shortcut": "the baseline's training on the same images without the planted shortcut",
}
CONTROLS: dict[Kind, str] = {
    "imil-random": "the same cases with the same number of squares, drawn at random",
    "imil-inverted": "the same cases with exactly the squares that the reader did not select",
    "cutout-same": "the same cases with a random box of 14/64 of the side blacked out, its centre "
    "anywhere, cut off at the border",
    "upweight": "the same cases unchanged but oversampled five times",
}
OPTIMIZERS = {"sgd": "stochastic gradient descent", "adam": "Adam", "adamw": "AdamW"}
AUGMENTATIONS = {
    "flip": "half of the training images were flipped horizontally",
    "crop": "each training image was shifted by up to an eighth of its side vertically and "
    "horizontally, padded with black",
}
# which images a round showed, by the choice of cases; {} is their number
SHOWN = {
    "confident_mistakes": "Of the misclassified images, the {} with the highest confidence",
    "auto": "Of the misclassified images, the {} with the highest confidence, or where there were "
    "fewer also misclassified images of a cross-validated regression on the model's features, and "
    "then those that it was least sure of,",
    "out_of_fold": "Of the images misclassified by a cross-validated regression on the model's "
    "features, the {} with the highest confidence",
    "moving_average": "Of the images misclassified by the moving average of the predictions over "
    "the epochs, the {} with the highest confidence",
    "early_mistakes": "Of the images misclassified by the mean of the predictions of the first "
    "five epochs, the {} with the highest confidence",
    "class_balanced": "Of the misclassified images, {} with the highest confidence, taken from "
    "each class in turn,",
    "diverse": "Of the misclassified images with the highest confidence, the {} that lay farthest "
    "apart by the model's features",
    "off_lung": "The {} images with the largest share of the heat-map outside the lungs",
    "likely_label_errors": "The {} images whose label was most likely wrong by a cross-validated "
    "regression on the model's features (confident learning)",
    "uncertain": "The {} images of the smallest margin between two classes",
    "random": "{} images drawn at random",
}
DISPLAYS = {
    "web": "in a browser, with both labels and the {} heat-maps of the predicted and of the true "
    "class",
    "console": "at a terminal, with both labels and the {} heat-map of the predicted class",
}
WEIGHTS = {"none": "from random weights", "imagenet": "from weights trained on ImageNet"}
SPLIT_PARTS = {"train": "training", "val": "validation", "test": "test"}
# what each kind of `PLAYED` does with the squares that its settings select
SELECTIONS = {
    "simulated": "selects {}",
    "random": "selects squares at random, as many as a reader who selects {}",
    "inverted": "selects exactly the squares that are left out by a reader who selects {}",
}


def methods(findings: Findings) -> list[str]:
    """The paragraphs: data, training, round, arms, shortcut, statistics, software."""
    parts = (
        *(_data, _training, _round, _arms),
        *(shortcut_sentences, statistics_sentences, _software),
    )
    return [text for part in parts if (text := " ".join(part(findings)))]


def _data(findings: Findings) -> Iterator[str]:
    images = findings.images[findings.images["set"] == "data"]
    sizes = images["label"].value_counts()
    classes = [f"{name} ({int(sizes.get(k, 0)):,})" for k, name in enumerate(findings.classes)]
    yield (
        f"The data were {count(len(images), 'image')} of {len(classes)} classes: {listed(classes)}."
    )
    yield _split(findings)
    for name, n in findings.facts["images"].items():
        if name != "data":
            yield (
                f"The external set {name.removeprefix('external-')} ({count(n, 'image')}) was used "
                "for testing only."
            )
    size = findings.settings.image_size
    yield (
        f"Images were decoded to 8 bits and resized to {size}×{size} pixels without keeping the "
        "aspect ratio."
    )


def _split(findings: Findings) -> str:
    sizes = findings.first_split["split"].value_counts()
    parts = [f"{int(sizes[p]):,} for {name}" for p, name in SPLIT_PARTS.items() if p in sizes]
    splits = findings.plan.splits.count
    if splits == 1:  # it may have been drawn or given: the folder does not say
        patients = "; no patient is in two parts" if findings.split_by_patient else ""
        return f"They were split once: {listed(parts)}{patients}."
    unit = "patient" if findings.split_by_patient else "image"
    return (
        f"They were split {splits} times by {unit}, stratified by class; in the first split "
        f"{listed(parts)}."
    )


def _training(findings: Findings) -> Iterator[str]:
    settings = findings.settings
    start = WEIGHTS.get(settings.weights.partition("@")[0], "from given weights")
    rate = f"learning rate {settings.lr:g}"
    if settings.optimizer == "sgd":
        rate += f", momentum {settings.momentum:g}" if settings.momentum else ", no momentum"
    if settings.weight_decay != "default":
        rate += f", weight decay {settings.weight_decay:g}"
    if settings.lr_schedule == "cosine":
        rate += ", decaying to zero along half a cosine"
    yield (
        f"A {settings.model} (timm) was trained {start} with {OPTIMIZERS[settings.optimizer]} "
        f"({rate}) and cross-entropy for {count(settings.epochs, 'epoch')} with a batch size of "
        f"{settings.batch_size}."
    )
    augmentations = [AUGMENTATIONS[name] for name in settings.augment]
    if augmentations:
        yield f"In every epoch {', and '.join(augmentations)}, at random."
    yield "The weights after the last epoch were tested; no model was selected by test results."
    splits = findings.plan.splits.count
    each = f" on each of {splits} splits" if splits > 1 else ""
    yield (
        f"Each arm was trained with {count(len(findings.plan.seeds), 'seed')}{each}; with the same "
        "seed all arms share the initial weights and the order of images, and arms that are "
        "identical up to the round share the training up to it."
    )


def _round(findings: Findings) -> Iterator[str]:
    if not findings.imil_arms:
        return
    settings = findings.settings
    epochs = listed([str(epoch) for epoch in settings.imil_epoch])
    yield (
        f"After epoch {epochs} the model predicted its training images. "
        f"{SHOWN[settings.choice].format(most_cases(settings))} were shown to a reader. "
        f"On a {settings.grid_size.replace('x', '×')} grid the reader selected the squares that "
        "the model should look at; all others were blacked out for the rest of the training."
    )
    if any(len(session.answers) < session.wanted for session in findings.sessions):
        yield "Fewer cases were shown where the model made fewer mistakes."
    method = findings.study.heat_maps_by
    for reader in findings.plan.readers:
        kind = reader.reader.kind
        if reader.reader.is_simulated:
            behaviour = simulated_behaviour(reader.reader, settings)
            yield f"The reader {reader.name} was simulated: it {behaviour}."
        elif kind == "replay":
            rest = "left unchanged"
            if reader.asks:
                rest = f"shown to a person in each training, {DISPLAYS[reader.asks].format(method)}"
            yield (
                f"The readings of {reader.name} came from a file and were used wherever the same "
                f"case was selected; other cases were {rest}."
            )
        else:
            yield f"{reader.name} read the cases of each training, {DISPLAYS[kind].format(method)}."
    yield from _uncorrected(findings)


def _uncorrected(findings: Findings) -> Iterator[str]:
    """How many of the cases were not corrected."""
    for session in findings.sessions:
        verdicts = [a.reading.verdict if a.reading else "" for a in session.answers]
        uncorrected = [verdict for verdict in verdicts if verdict != "focus"]
        if uncorrected:
            skipped = uncorrected.count("skip") + uncorrected.count("")
            yield (
                f"Of {count(len(verdicts), 'case')} shown to {session.reader} over all trainings, "
                f"{len(uncorrected):,} were left unchanged ({skipped:,} skipped or not read, "
                f"{len(uncorrected) - skipped:,} with another verdict)."
            )


def _arms(findings: Findings) -> Iterator[str]:
    kinds = [kind for kind in findings.plan.arms if kind in ARMS]
    arms = [ARMS[kind] for kind in kinds]
    several = len(findings.imil_arms) > 1
    if several:
        names = listed([reader.name for reader in findings.plan.readers])
        readers = count(len(findings.imil_arms), "reader")
        arms[kinds.index("imil")] = f"IMIL once with each of {readers} ({names})"
    yield f"The arms were {listed(arms)}."
    controls = [CONTROLS[kind] for kind in findings.plan.arms if kind in CONTROLS]
    if controls:
        reader = findings.controls[0].reader if several else "the reader"
        yield (
            f"Controls use the cases in which {reader} selected squares, and leave the others "
            "unchanged. They show the effect of these cases without the reader's judgement: "
            f"{'; '.join(controls)}."
        )
    yield from treatment_sentences(findings)


def _software(findings: Findings) -> Iterator[str]:
    versions: dict[str, str] = findings.facts.get("versions", {})
    if versions:
        yield f"Software: {listed([f'{name} {version}' for name, version in versions.items()])}."
    seeds = listed([str(seed) for seed in findings.plan.seeds])
    fingerprint = str(findings.facts.get("fingerprint", ""))[:12]
    yield (
        f"Seeds of training: {seeds}; seed of the splits: {findings.plan.splits.seed}; SHA-256 of "
        f"the data: {fingerprint}…"
    )


def simulated_behaviour(reader: ReaderSpec, settings: TrainSettings) -> str:
    """What a simulated reader does: which squares it selects, and with which errors.

    Args:
        reader: as in a plan, such as `simulated:miss=0.3`; its kind is one of `SIMULATED`.
        settings: have the mask columns and the grid.
    """
    given = reader.options
    region = "the largest region of " if given.get("one_region") else ""
    squares = _squares(given.get("threshold"), Grid.parse(settings.grid_size).squares)
    parts = [f"{squares} {region}{_mask(settings.mask_columns)}"]
    if given.get("miss"):
        parts.append(f"misses each of them with a probability of {given['miss']:g}")
    if given.get("false"):
        parts.append(f"adds each other one with a probability of {given['false']:g}")
    parts.append("and always selects at least one")
    return SELECTIONS[reader.kind].format(", ".join(parts))


def _squares(threshold: float | None, squares: int) -> str:
    least = EVEN_SHARE / squares if threshold is None else threshold
    share = f"{100 * least:.3g} % or more" if least else "any part"
    return f"the squares that contain {share} of"


def _mask(columns: Sequence[str]) -> str:
    """Such as `the mask of the lesions, or else of the lungs`."""
    names = [f"of the {MASKS[name]}" if name in MASKS else f"“{name}”" for name in columns]
    return f"the mask {', or else '.join(names)}"
