"""The paragraphs on methods: ready to be pasted into a paper, and to be checked by its authors."""

from __future__ import annotations

from collections.abc import Iterator

from imil.study.arms import Kind
from imil.study.phrases import count, listed
from imil.study.report.findings import Findings
from imil.study.report.number_format import percent
from imil.study.report.simulated_text import played
from imil.study.statistics.resamples import DRAWS
from imil.study.statistics.standard_error import AGREED, CAUTION, EXPLAINED

DONE: dict[Kind, str] = {
    "baseline": "a baseline, trained without any of what follows",
    "cutmix": "CutMix (a box of each image replaced by that of another, labels mixed by its area; "
    "Yun et al. 2019)",
    "cutout": "CutOut (a black square of 50/224 of the side in each image; DeVries and Taylor "
    "2017)",
    "mixup": "MixUp (each image mixed with another, and labels likewise; Zhang et al. 2018)",
    "imil": "IMIL",
}
CONTROL: dict[Kind, str] = {
    "imil-random": "the same cases with as many squares, drawn at random",
    "imil-inverted": "the same cases with exactly the squares that the reader did not select",
    "cutout-same": "the same cases with a random box of 14/64 of the side blacked out, its centre "
    "anywhere, cut off at the border",
    "upweight": "the same cases left as they are but drawn five times as often",
}
OPTIMIZERS = {"sgd": "stochastic gradient descent", "adam": "Adam", "adamw": "AdamW"}
CHANGES = {
    "flip": "half of the training images were mirrored left to right",
    "crop": "each training image was moved by up to an eighth of its side, up or down and "
    "sideways, with black coming in",
}
SHOWN = {
    "web": "in a browser, with both labels and the Grad-CAM heat-maps of the predicted and of the "
    "true class",
    "console": "at a terminal, with both labels and the Grad-CAM heat-map of the predicted class",
}
WEIGHTS = {"none": "from random weights", "imagenet": "from weights trained on ImageNet"}


def methods(found: Findings) -> list[str]:
    """The paragraphs: data, model and training, the round, arms, statistics, software."""
    parts = (_data, _training, _round, _arms, _statistics, _software)
    return [said for part in parts if (said := " ".join(part(found)))]


def _data(found: Findings) -> Iterator[str]:
    own = found.images[found.images["set"] == "data"]
    sizes = own["label"].value_counts()
    classes = [f"{name} ({int(sizes.get(k, 0)):,})" for k, name in enumerate(found.classes)]
    yield f"The data were {count(len(own), 'image')} of {len(classes)} classes: {listed(classes)}."
    unit = "patient" if found.by_patient else "image"
    plan = found.plan.splits
    parts = found.split["split"].value_counts()
    share = [f"{int(parts[name]):,} to {verb}" for name, verb in _PARTS if name in parts]
    if plan.count == 1:  # it may have been drawn or given: the folder does not say
        apart = "; no patient is in two parts" if found.by_patient else ""
        yield f"They were divided once: {listed(share)}{apart}."
    else:
        yield (
            f"They were split {plan.count} times by {unit}, stratified by class; in the first "
            f"split {listed(share)}."
        )
    for name, size in found.facts["images"].items():
        if name != "data":
            yield (
                f"An external set, {name.removeprefix('external-')} ({count(size, 'image')}), was "
                "only tested on."
            )
    size = found.settings.image_size
    yield (
        f"Images were decoded to 8 bits and scaled to {size}×{size} pixels without keeping the "
        "aspect ratio."
    )


_PARTS = (("train", "train on"), ("val", "validate on"), ("test", "test on"))


def _training(found: Findings) -> Iterator[str]:
    s = found.settings
    start = WEIGHTS.get(s.weights, "from given weights")
    rate = f"learning rate {s.lr:g}"
    if s.optimizer == "sgd":
        rate += f", momentum {s.momentum:g}" if s.momentum else ", no momentum"
    yield (
        f"A {s.model} (timm) was trained {start} with {OPTIMIZERS[s.optimizer]} ({rate}) and "
        f"cross-entropy for {count(s.epochs, 'epoch')} with a batch size of {s.batch_size}."
    )
    changes = [CHANGES[name] for name in s.augment]
    if changes:
        yield f"In every epoch {', and '.join(changes)}, drawn at random."
    yield "The weights after the last epoch were tested; no model was chosen by any test result."
    splits = found.plan.splits.count
    each = f" on each of {splits} splits" if splits > 1 else ""
    yield (
        f"Each arm was trained with {count(len(found.plan.seeds), 'seed')}{each}; with the same "
        "seed all arms share the initial weights and the order of images, and arms that are equal "
        "up to the round share the training up to it."
    )


def _round(found: Findings) -> Iterator[str]:
    if not found.readers:
        return
    s = found.settings
    epochs = listed([str(epoch) for epoch in s.imil_epoch])
    yield (
        f"After epoch {epochs} the model predicted its training images. Of those that it got "
        f"wrong, the {s.num_outliers} with the highest confidence were put to a reader. On a "
        f"{s.grid_size.replace('x', '×')} grid the reader selected the squares that the model "
        "should look at; all others were black from then on."
    )
    if any(len(one.answers) < one.asked for one in found.sessions):
        yield "Fewer cases were put where the model made fewer mistakes."
    for reader in found.plan.readers:
        kind = reader.reader.kind
        if reader.reader.is_simulated:
            yield f"The reader {reader.name} was simulated: it {played(reader.reader, s)}."
        elif kind == "replay":
            rest = "left as they were"
            if reader.asks:
                rest = f"put to a person in each training, {SHOWN[reader.asks]}"
            yield (
                f"The readings of {reader.name} came from a file and were used wherever the same "
                f"case came up; other cases were {rest}."
            )
        else:
            yield f"{reader.name} read the cases of each training, {SHOWN[kind]}."
    yield from _uncorrected(found)


def _uncorrected(found: Findings) -> Iterator[str]:
    """How many of the cases that were put changed nothing."""
    for one in found.sessions:
        said = [answer.reading.verdict if answer.reading else "" for answer in one.answers]
        left = [verdict for verdict in said if verdict != "focus"]
        if left:
            others = len(left) - left.count("skip") - left.count("")
            yield (
                f"Of {count(len(said), 'case')} put to {one.reader} over all trainings, "
                f"{len(left):,} stayed as they were ({len(left) - others:,} skipped or not read, "
                f"{others:,} with another verdict)."
            )


def _arms(found: Findings) -> Iterator[str]:
    kinds = [kind for kind in found.plan.arms if kind in DONE]
    said = [DONE[kind] for kind in kinds]
    if len(found.readers) > 1:
        named = listed([reader.name for reader in found.plan.readers])
        said[kinds.index("imil")] = f"IMIL once with each of {count(len(found.readers), 'reader')} "
        said[kinds.index("imil")] += f"({named})"
    yield f"The arms were {listed(said)}."
    controls = [CONTROL[kind] for kind in found.plan.arms if kind in CONTROL]
    if controls:
        who = found.controls[0].reader if len(found.readers) > 1 else "the reader"
        yield (
            f"Controls are about the cases in which {who} selected squares, and leave the others "
            "as they were. They tell what these cases would have done without the reader's "
            f"judgement: {'; '.join(controls)}."
        )


def _statistics(found: Findings) -> Iterator[str]:
    yield (
        "Measures were accuracy, area under the receiver operating characteristic curve (AUROC), "
        "expected calibration error (ECE) with 15 bins of equal width and with bins of equal "
        "mass, Brier score, negative log-likelihood, sensitivity and specificity"
        + (
            " of class " + found.classes[1]
            if len(found.classes) == 2
            else ", averaged over classes"
        )
        + "."
    )
    yield from _intervals(found)
    yield (
        "Differences from the baseline are paired by seed, split and image; the error of one in "
        "accuracy, sensitivity or specificity is never less than that of one image on either side "
        "(after Bonett and Price 2012), so that arms that are right on the same images have an "
        "interval too."
    )
    yield (
        f"The p of a difference is that of the t distribution of its interval{_few(found)}, with "
        "Holm's correction for the number of arms. Whether the networks differ, as they were "
        "trained, was tested by the exact McNemar test (accuracy) and by that of DeLong et al. "
        f"(1988; AUROC), training by training{_combined(found)}, with the same correction."
    )
    if found.plan.subgroups:
        names = listed([f"“{name}”" for name in found.plan.subgroups])
        yield f"The same was done within groups by {names}."
    yield (
        "A difference whose interval includes zero is reported as “no difference shown”; one whose "
        "corrected p is 0.05 or more is no finding either."
    )
    if len(found.plan.seeds) * found.plan.splits.count == 1:
        yield "Nor is any with one training of each arm."


def _intervals(found: Findings) -> Iterator[str]:
    """As `imil.study.statistics.standard_error` and `wilson` compute them."""
    together = ", all images of a patient together" if found.by_patient else ""
    resampled = f"images were resampled {DRAWS:,} times within their class{together}"
    seeds, splits = len(found.plan.seeds), found.plan.splits.count
    if seeds * splits == 1:
        yield f"95 % intervals allow for other images, not for other trainings: {resampled}."
    else:
        units = "the means of the splits" if splits > 1 else "trainings"
        yield (
            "All are means over seeds and splits. 95 % intervals allow for other images and for "
            f"other trainings: {resampled}, the same in every training, and the variance by which "
            f"{units} differ beyond what their images explain was added, with a t distribution "
            "(Obuchowski and Rockette 1995; degrees of freedom after Hillis 2007). This was made "
            f"more cautious: only {percent(EXPLAINED)} of what the images explain is taken off, "
            f"and what is left counts {CAUTION:g} times in the degrees of freedom. So the error is "
            "never less than what the images alone bring."
        )
    yield (
        "Accuracy, AUROC, sensitivity and specificity have Wilson's interval of a share with that "
        "error."
    )


def _few(found: Findings) -> str:
    """The guard of `StandardError.p`."""
    if len(found.plan.seeds) * found.plan.splits.count == 1:
        return ""
    return f", with no more than {AGREED:g} times the degrees of freedom of the trainings"


def _combined(found: Findings) -> str:
    """How the p-values of an arm's trainings become one, as `combined` does it."""
    if len(found.plan.seeds) * found.plan.splits.count == 1:
        return ""
    return (
        "; of the one-sided p-values of an arm's trainings, each direction by itself, twice the "
        "lower median was taken (Rüschendorf 1982), and the smaller of the two doubled"
    )


def _software(found: Findings) -> Iterator[str]:
    versions: dict[str, str] = found.facts.get("versions", {})
    named = listed([f"{name} {version}" for name, version in versions.items()])
    yield f"Software: {named}." if named else ""
    seeds = listed([str(seed) for seed in found.plan.seeds])
    print_ = str(found.facts.get("fingerprint", ""))[:12]
    yield (
        f"Seeds of training: {seeds}; seed of the splits: {found.plan.splits.seed}; fingerprint of "
        f"the data (SHA-256): {print_}…"
    )
