"""What a study's folder says to the items of the CLAIM checklist, by their numbers."""

from __future__ import annotations

from collections.abc import Callable

from imil.study.phrases import count, listed
from imil.study.reader_sessions import agreed
from imil.study.report.findings import MASKS, Findings
from imil.study.study_folder import TEST

Say = Callable[[Findings], str]


def _kind(found: Findings) -> str:
    return (
        f"An experiment that compares {count(len(found.plan.rows), 'way')} to train the same "
        "image classifier; no test of clinical use."
    )


def _source(found: Findings) -> str:
    sizes = {name: count(n, "image") for name, n in found.facts["images"].items()}
    outside = [f"{name.removeprefix('external-')} ({n})" for name, n in sizes.items()]
    more = f"; external: {listed(outside[1:])}" if len(outside) > 1 else ""
    return f"{sizes['data']}{more}; fingerprint under “Software, seeds, data”."


def _preparation(found: Findings) -> str:
    s = found.settings
    channels = "grey" if s.channels == 1 else "colour"
    return (
        f"Decoded to 8 bits, {channels}, squashed to {s.image_size}×{s.image_size} pixels, scaled "
        "by the model's own mean and standard deviation."
    )


def _missing(found: Findings) -> str:
    own = found.images[found.images["set"] == "data"]
    said = [
        f"“{name}” of {empty:,} of {len(own):,}"
        for name in found.plan.subgroups
        if (empty := int((own[name].fillna("") == "").sum()))
    ]
    if not said:
        names = listed([f"“{name}”" for name in found.plan.subgroups])
        return f"Known of every image: {names}." if names else ""
    return f"Not known: {listed(said)} images; they count in the whole and in no such group."


def _annotators(found: Findings) -> str:
    said = []
    for one in found.sessions:
        who = "played by a program" if one.simulated else "a person"
        said.append(f"{one.reader} ({who}, {count(len(one.read), 'case')})")
    return f"Readers of the rounds: {listed(said)}." if said else ""


def _agreement(found: Findings) -> str:
    if agreed(found.sessions) is None:
        return ""
    return "Agreement of the readers is under “Readers”."


def _partitions(found: Findings) -> str:
    sizes = found.split["split"].value_counts()
    named = listed([f"{int(n):,} {name}" for name, n in sizes.items()])
    count_ = found.plan.splits.count
    how = f"drawn {count_} times, stratified by class" if count_ > 1 else "one division"
    return f"{named}; {how}. The lists are in splits/."


def _apart(found: Findings) -> str:
    if found.by_patient:
        return "By patient: no patient is in two parts."
    if found.apart:
        return "By image; images of a patient are in more than one part."
    return "By image; patients are not known. The same file is never trained on and tested on."


def _model(found: Findings) -> str:
    s = found.settings
    return (
        f"{s.model} as timm defines it, {s.image_size}×{s.image_size} pixels in, "
        f"{len(found.classes)} classes out."
    )


def _start(found: Findings) -> str:
    weights = found.settings.weights
    if weights == "none":
        return (  # see `imil.training.network.CONVENTIONS`
            "At random, from each seed, as timm does; where timm would start the last "
            "normalisation of a residual block at zero, at one."
        )
    return "ImageNet weights of timm." if weights == "imagenet" else "From a file of weights."


def _training(found: Findings) -> str:
    done = found.states["done"]
    return (
        f"In the methods paragraphs; every setting is in plan.toml and each training's "
        f"config.toml. {count(done, 'model')} trained."
    )


def _uncertainty(found: Findings) -> str:
    one = len(found.plan.seeds) * found.plan.splits.count == 1
    others = "images, not for other trainings" if one else "images and other trainings"
    spread = "" if one else "; standard deviation over trainings in table.csv"
    return (
        f"95 % intervals for other {others}, with p by the same error; exact McNemar and DeLong "
        f"tests of the networks; all corrected by Holm's method{spread}."
    )


def _robust(found: Findings) -> str:
    parts = [count(len(found.plan.seeds), "seed"), count(found.plan.splits.count, "split")]
    if found.controls:
        parts.append(count(len(found.controls), "control"))
    if found.plan.subgroups:
        parts.append(count(len(found.plan.subgroups), "grouping"))
    return f"{listed(parts)}."


def _elsewhere(found: Findings) -> str:
    names = list(found.plan.external)
    return f"{listed(names)}, never trained on." if names else "Not done; named under limits."


def _numbers(found: Findings) -> str:
    warned = len(found.facts.get("warnings", []))
    notes = f" {count(warned, 'note')} on the data under limits." if warned else ""
    return f"{_source(found)}{notes}"


def _people(found: Findings) -> str:
    if not found.plan.subgroups:
        return ""
    return (
        f"Classes and {listed(list(found.plan.subgroups))} of each part are in the table of data."
    )


def _performance(found: Findings) -> str:
    if not found.sets:
        return ""
    parts = ["test set"] if TEST in found.sets else []
    parts += ["external sets"] if set(found.sets) - {TEST} else []
    parts += ["subgroups"] if found.subgroups else []
    return f"In this report and in table.csv: {listed(parts)}."


def _precision(found: Findings) -> str:
    if TEST not in found.sets:
        return ""
    curves = (found.study.figures / "roc.png").exists()
    return f"Table 1, with 95 % intervals{'; ROC curves among the figures' if curves else ''}."


def _explained(found: Findings) -> str:
    masks = {mask for table in found.focus.values() for mask in table["mask"]}
    if masks:
        named = listed([MASKS.get(mask, mask) for mask in sorted(masks)])
        return f"Grad-CAM of the true class; its share in {named} is under “Focus”."
    if any(job.heat_maps.exists() for job, state in found.jobs.items() if state == "done"):
        return "Grad-CAM of the true class, among the figures."
    return ""


ANSWERS: dict[int, Say] = {
    6: _kind,
    7: _source,
    9: _preparation,
    10: lambda found: "Whole images were used.",
    12: _missing,
    14: lambda found: f"Labels as given in the table: {listed(list(found.classes))}.",
    16: _annotators,
    18: _agreement,
    19: _partitions,
    20: _apart,
    21: lambda found: f"{found.test_images}; what this could have shown is under “Summary”.",
    22: _model,
    23: lambda found: "Under “Software, seeds, data”.",
    24: _start,
    25: _training,
    26: lambda found: "The weights after the last epoch, in every arm; nothing was chosen.",
    27: lambda found: "No models were combined.",
    28: lambda found: (
        "Accuracy, AUROC, calibration error (two ways), Brier score, log-likelihood, sensitivity, "
        "specificity."
    ),
    29: _uncertainty,
    30: _robust,
    31: _explained,
    32: lambda found: (
        f"{found.test_images}, never trained on in their split." if TEST in found.sets else ""
    ),
    33: _elsewhere,
    35: _numbers,
    36: _people,
    37: _performance,
    38: _precision,
    39: lambda found: (
        "Predictions of every image are in jobs/*/*/predictions." if found.sets else ""
    ),
    40: lambda found: "Under “Limits”.",
    42: lambda found: "plan.toml holds the plan as it was run.",
}
