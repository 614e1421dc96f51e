"""The simulated reader and its controls, against masks whose squares are known by hand."""

import csv
import hashlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from reader_contract import check_reader, make_case

from imil.errors import DataError, SettingsError, ShapeError
from imil.grid import Grid
from imil.readers.simulated import Inverted, RandomSquares, Simulated, largest_region
from imil.readers.spec import ReaderSpec
from imil.training.reader_factory import make_reader

CASES = [make_case(n) for n in range(1, 21)]


def mask_of(*pixels, side=8):
    """True at these (row, column); on 8 × 8 a square of a 4 × 4 grid has four pixels."""
    mask = np.zeros((side, side), bool)
    for row, col in pixels:
        mask[row, col] = True
    return mask


# square 1: 4 pixels, square 2: 2, square 6: 1, square 16: 3; 10 together
LESION = mask_of((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (1, 2), (2, 2), (7, 7), (7, 6), (6, 7))
LUNGS = mask_of(*[(r, c) for r in range(2, 6) for c in range(8)])  # squares 5 to 12


def known(*masks):
    return lambda _key: masks


def squares(case=CASES[0], *, masks=lambda _key: [LESION], seed=0, **settings):
    return Simulated(masks=masks, seed=seed, **settings).squares(case)


# --- the contract -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reader",
    [
        Simulated(masks=known(LESION, LUNGS), seed=0, miss=0.3, false=0.2),
        Simulated(masks=known(None), seed=0),
        RandomSquares(reference=Simulated(masks=known(LESION), seed=0), seed=1),
        RandomSquares(count=99, seed=1),
        Inverted(reference=Simulated(masks=known(LESION), seed=0)),
    ],
    ids=["simulated", "blind", "random", "random count", "inverted"],
)
def test_keeps_the_contract_of_readers(reader):
    readings = check_reader(lambda: reader, CASES)
    assert len(readings) == len(CASES)


# --- which squares ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.25, (1, 2, 6, 16)), (0.5, (1, 2, 16)), (0.75, (1, 16)), (0.76, (1,)), (0, (1, 2, 6, 16))],
)
def test_squares_are_selected_by_the_share_that_the_mask_covers(threshold, expected):
    assert squares(of="square", threshold=threshold) == expected


@pytest.mark.parametrize(
    ("threshold", "expected"),
    [(0.1, (1, 2, 6, 16)), (0.11, (1, 2, 16)), (0.3, (1, 16)), (0.4, (1,))],
)
def test_squares_are_selected_by_the_share_of_the_region_that_they_contain(threshold, expected):
    assert squares(of="region", threshold=threshold) == expected


def test_where_no_square_has_the_share_the_best_one_is_selected():
    speck = mask_of((5, 5))
    assert squares(masks=known(speck), of="square", threshold=0.9) == (11,)
    assert squares(of="region", threshold=1.0) == (1,)


def test_the_first_mask_that_is_not_empty_is_used():
    nothing = np.zeros((8, 8), bool)
    lungs = tuple(range(5, 13))
    assert squares(masks=known(LESION, LUNGS)) == (1, 2, 6, 16)
    assert squares(masks=known(None, LUNGS)) == lungs
    assert squares(masks=known(nothing, LUNGS)) == lungs


@pytest.mark.parametrize("masks", [(), (None,), (None, np.zeros((3, 3), bool))])
def test_without_a_mask_the_case_is_skipped_and_the_reason_given(masks):
    [reading] = Simulated(masks=known(*masks), seed=0)(CASES[:1])
    assert (reading.verdict, reading.squares) == ("skip", ())
    assert "mask" in reading.reason


@pytest.mark.parametrize("side", [40, 333, 1024])
def test_a_mask_may_have_another_size_than_the_image(side):
    mask = np.zeros((side, side), bool)
    mask[: side // 4, : side // 2] = True
    assert squares(masks=known(mask)) == (1, 2)


def test_one_region_is_the_largest_only():
    # the lesion's pixels in squares 1, 2 and 6 touch, those in square 16 do not
    assert squares(threshold=0.0, one_region=True) == (1, 2, 6)


def test_the_default_is_as_fair_on_a_fine_grid():
    lungs = np.zeros((64, 64), bool)
    lungs[16:48, 8:24] = lungs[16:48, 40:56] = True  # whole squares on an 8 × 8 grid
    fine = squares(replace(CASES[0], grid=Grid(8, 8)), masks=known(lungs))
    assert len(fine) == 4 * 4
    assert Grid(8, 8).mask(fine, 64, 64)[lungs].all()


@pytest.mark.parametrize("shape", [(2,), (2, 2, 2, 3)])
def test_a_mask_that_is_neither_of_an_image_nor_of_a_volume_is_refused(shape):
    with pytest.raises(DataError, match=r"a mask of shape \(2,"):
        squares(masks=known(np.ones(shape, bool)))


def test_a_mask_of_a_volume_does_not_lie_over_an_image():
    with pytest.raises(ShapeError, match=r"4×4 lies over images, not .* \(2, 2, 3\)"):
        squares(masks=known(np.ones((2, 2, 3), bool)))


# --- chance -------------------------------------------------------------------------------

UNSURE = Simulated(masks=known(LESION), seed=5, miss=0.4, false=0.3)


def test_a_reading_does_not_depend_on_earlier_cases():
    forward = {r.case: r.squares for r in UNSURE(CASES)}
    backward = {r.case: r.squares for r in UNSURE(CASES[::-1])}
    alone = {c.id: next(UNSURE([c])).squares for c in CASES}
    assert forward == backward == alone
    assert len(set(forward.values())) > 10, "yet the cases differ"


def test_another_run_gets_the_same_answers_and_another_round_others():
    runs = [[make_case(n, run=run) for n in range(1, 21)] for run in ("a", "b")]
    later = [make_case(n, epoch=90) for n in range(1, 21)]
    a, b, c = ([UNSURE.squares(case) for case in cases] for cases in (*runs, later))
    assert a == b != c


def test_the_number_of_the_case_does_not_matter():
    assert UNSURE.squares(make_case(3, key="k")) == UNSURE.squares(make_case(9, key="k"))


@pytest.mark.parametrize("change", [{"seed": 6}, {"name": "another"}])
def test_another_seed_or_name_is_another_reader(change):
    one = {"masks": known(LESION), "seed": 5, "miss": 0.4, "false": 0.3}
    other = Simulated(**one | change)
    assert [UNSURE.squares(c) for c in CASES] != [other.squares(c) for c in CASES]


def readings_of(reader_name, reader, seed=5):
    """The readings of the cases by the reader that a command or a plan specifies."""
    data = SimpleNamespace(
        table=SimpleNamespace(masks={"lesion_mask": ["mask.png"]}), masks=known(LESION)
    )
    spec = ReaderSpec.parse(reader)
    made = make_reader(spec, reader_name=reader_name, seed=seed, data=data, folder=Path())
    return list(made(CASES))


def squares_of(reader_name, reader, seed=5):
    """The squares that it selects of each case."""
    return [reading.squares for reading in readings_of(reader_name, reader, seed)]


@pytest.mark.parametrize("name", ["simulated:miss=0.4,false=0.3", "random"])
def test_simulated_readers_of_different_names_draw_different_numbers(name):
    assert squares_of("Lee", name) == squares_of("Lee", name)
    assert squares_of("Lee", name) != squares_of("Kim", name)
    assert squares_of("Lee", name) != squares_of("Lee", name, seed=6)


def test_a_reader_that_misses_less_does_not_miss_the_same_squares():
    little, much = (
        squares_of(who, f"simulated:miss={miss}") for who, miss in [("a", 0.3), ("b", 0.6)]
    )
    assert not all(set(few) <= set(most) for few, most in zip(much, little, strict=True))


def test_a_simulated_reader_without_a_name_depends_on_the_seed_alone():
    expected = [UNSURE.squares(case) for case in CASES]
    for unnamed in ("reader", ""):
        assert squares_of(unnamed, "simulated:miss=0.4,false=0.3") == expected


@pytest.mark.parametrize("kind", ["simulated", "random", "inverted"])
def test_a_simulated_reader_without_a_name_has_that_of_its_kind(kind):
    assert {reading.reader for reading in readings_of("hasty", f"{kind}:miss=0.3")} == {"hasty"}
    for unnamed in ("reader", ""):
        assert {reading.reader for reading in readings_of(unnamed, kind)} == {kind}


def test_the_readings_of_a_named_simulated_reader_stay_the_same():
    """Studies are extended: a name and a seed must give the same readings in later versions."""
    seed = int.from_bytes(hashlib.sha256(b'[5, "hasty"]').digest()[:8])
    one = Simulated(masks=known(LESION), seed=seed, miss=0.4, false=0.3)
    for kind, reader in (
        ("simulated", one),
        ("random", RandomSquares(seed=seed, reference=one)),
        ("inverted", Inverted(reference=one)),
    ):
        expected = [reading.squares for reading in reader(CASES)]
        assert squares_of("hasty", f"{kind}:miss=0.4,false=0.3") == expected


def test_misses_and_false_squares_have_the_given_probability():
    cases = [make_case(1, key=f"film {n}") for n in range(2000)]
    reader = Simulated(masks=known(LESION), seed=0, threshold=0.0, miss=0.25, false=0.1)
    answers = [set(reader.squares(case)) for case in cases]
    true = {1, 2, 6, 16}
    missed = np.mean([len(true - answer) / 4 for answer in answers])
    added = np.mean([len(answer - true) / 12 for answer in answers])
    # four standard errors: sqrt(p (1 - p) / (2000 n)), n = 4 and 12
    assert missed == pytest.approx(0.25, abs=0.02)
    assert added == pytest.approx(0.1, abs=0.008)


def test_a_reader_that_misses_everything_still_selects_the_best_square():
    assert squares(miss=1.0) == (1,)


def test_a_reader_that_adds_every_false_square_selects_all():
    assert squares(false=1.0) == tuple(range(1, 17))


@pytest.mark.parametrize(
    "settings", [{"threshold": 1.5}, {"miss": -0.1}, {"false": 2}, {"of": "pixel"}]
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(SettingsError, match=next(iter(settings))):
        squares(**settings)


# --- the controls -------------------------------------------------------------------------


def test_random_selects_as_many_squares_as_the_reference():
    reference = Simulated(masks=known(LESION), seed=5, miss=0.4, false=0.3)
    control = RandomSquares(reference=reference, seed=0)
    theirs = [reference.squares(case) for case in CASES]
    ours = [control.squares(case) for case in CASES]
    assert list(map(len, ours)) == list(map(len, theirs))
    assert ours != theirs


def test_random_selects_every_square_equally_often():
    control = RandomSquares(count=4, seed=0)
    cases = [make_case(1, key=f"film {n}") for n in range(4000)]
    times = np.bincount([s for c in cases for s in control.squares(c)], minlength=17)[1:]
    # chi square with 15 degrees of freedom lies below 37.7 in 999 of 1000 draws
    assert ((times - 1000) ** 2 / 1000).sum() < 37.7


@pytest.mark.parametrize(("count", "expected"), [(1, 1), (16, 16), (99, 16)])
def test_random_selects_all_squares_if_the_grid_has_fewer_than_the_count(count, expected):
    assert len(RandomSquares(count=count, seed=0).squares(CASES[0])) == expected


@pytest.mark.parametrize(
    "settings", [{}, {"count": 0}, {"count": 3, "reference": Simulated(masks=known(), seed=0)}]
)
def test_random_needs_either_a_reference_or_a_count(settings):
    with pytest.raises(SettingsError, match="count"):
        RandomSquares(seed=0, **settings)


def test_inverted_selects_the_rest():
    [reading] = Inverted(reference=Simulated(masks=known(LESION), seed=0))(CASES[:1])
    assert reading.squares == (3, 4, 5, *range(7, 16))


@pytest.mark.parametrize("mask", [np.ones((8, 8), bool), None])
def test_inverted_skips_where_there_is_no_rest_or_no_reference(mask):
    [reading] = Inverted(reference=Simulated(masks=known(mask), seed=0))(CASES[:1])
    assert reading.verdict == "skip"
    assert reading.reason


# --- regions ------------------------------------------------------------------------------


def test_pixels_that_touch_at_a_corner_are_one_region():
    mask = np.array([[1, 0, 0, 1, 1], [0, 1, 0, 0, 0], [1, 0, 0, 0, 0]], bool)
    assert largest_region(mask).astype(int).tolist() == [
        [1, 0, 0, 0, 0],
        [0, 1, 0, 0, 0],
        [1, 0, 0, 0, 0],
    ]


def test_of_two_equally_large_regions_the_upper_one_is_taken():
    mask = np.array([[0, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 0]], bool)
    assert largest_region(mask).astype(int).tolist() == [[0, 0, 1, 1], [0] * 4, [0] * 4]


# --- real masks ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "middle", "few", "many", "held"),
    [("lesion_mask", (2, 4), 1, 6, 0.95), ("lung_mask", (7, 10), 5, 12, 0.85)],
)
def test_real_masks_give_a_plausible_number_of_squares(shenzhen, column, middle, few, many, held):
    with (shenzhen / "manifest.csv").open(encoding="utf-8") as file:
        names = [row[column] for row in csv.DictReader(file) if row[column]][::4]
    counts, shares = [], []
    for name in names:
        mask = np.asarray(Image.open(shenzhen / name).convert("L")) > 0
        chosen = squares(masks=known(mask))
        counts.append(len(chosen))
        shares.append(mask[Grid().mask(chosen, *mask.shape)].sum() / mask.sum())
    assert middle[0] <= np.median(counts) <= middle[1]
    assert few <= np.percentile(counts, 5) <= np.percentile(counts, 95) <= many
    assert np.median(shares) > held
