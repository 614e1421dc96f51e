"""Fills, edges and options of `Cover`."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from imil.errors import SettingsError
from imil.fills import blackout
from imil.grid import Grid
from imil.pytorch import CorrectedDataset
from imil.treatments import Batch, Cover
from imil.treatments.edges import shifted, softened, square_sizes
from imil.treatments.linear_imputation import linear_surface
from imil.treatments.replacements import REPLACEMENTS

GRID = Grid(2, 2)
FILLS = list(REPLACEMENTS)


def batch_of(seed, squares, *, dtype=torch.uint8, size=16, channels=1):
    """Four random images, of which the first and third keep these squares."""
    rng = torch.Generator().manual_seed(seed)
    images = torch.randint(1, 256, (4, channels, size, size), generator=rng).to(dtype)
    keep = torch.ones(4, size, size, dtype=torch.bool)
    keep[[0, 2]] = torch.from_numpy(GRID.mask(squares, size, size))
    labels, rows = torch.tensor([0, 1, 1, 0]), torch.arange(4)
    return Batch(images, labels, rows, keep, torch.full((4, 2), 2), 2)


def donors(n):
    """Images 200, 201 … of the classes 0, 1, 2, 0 …"""
    values = torch.arange(200, 200 + n).view(-1, 1, 1, 1)
    return Batch(values.expand(-1, 1, 16, 16).to(torch.uint8), torch.arange(n) % 3, torch.arange(n))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def cover(batch, seed=0, **options):
    return Cover(**options).batch(batch, donors, generator(seed)).images


@pytest.mark.parametrize("fill", FILLS)
@given(seed=st.integers(0, 99), soft=st.floats(0, 1), jitter=st.floats(0, 1))
@settings(max_examples=15, deadline=None)
def test_all_squares_selected_leave_every_image_as_it_was(fill, seed, soft, jitter):
    batch = batch_of(seed, [1, 2, 3, 4])
    assert torch.equal(cover(batch, fill=fill, soft=soft, jitter=jitter), batch.images)


@given(st.integers(0, 99), st.sets(st.integers(1, 4)), st.sampled_from([torch.uint8, torch.float]))
@settings(max_examples=30, deadline=None)
def test_the_defaults_are_the_papers_blackout_exactly(seed, squares, dtype):
    batch = batch_of(seed, squares, dtype=dtype)
    expected = blackout(batch.images, batch.keep)
    assert torch.equal(cover(batch), expected)
    # and so is the general way, which other options take
    assert torch.equal(cover(batch, fill="black", soft=1e-9), expected)


@pytest.mark.parametrize("fill", FILLS)
def test_selected_pixels_and_images_that_are_not_corrected_stay(fill):
    batch = batch_of(0, [2, 3])
    images = cover(batch, fill=fill)
    assert images.dtype == torch.uint8
    assert torch.equal(images[[1, 3]], batch.images[[1, 3]])
    keep = batch.keep[:, None]
    assert torch.equal(images[keep], batch.images[keep])
    assert not torch.equal(images[0], batch.images[0])


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("options", [{}, {"soft": 0.5, "jitter": 0.5, "keep_original": 0.5}])
def test_a_generator_in_the_same_state_gives_the_same_images(fill, options):
    batch = batch_of(0, [2])
    before = torch.get_rng_state()
    first, second = (cover(batch, fill=fill, **options) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("fill", ["black", "mean", "noise"])
def test_where_nothing_is_selected_an_image_becomes_as_dark_as_it_can(fill):
    batch = batch_of(0, [])
    darkest = batch.images[0].min() if fill == "noise" else 0  # noise stays within the range
    assert (cover(batch, fill=fill)[0] == darkest).all()


def test_the_mean_is_of_the_selected_pixels_by_channel():
    images = torch.tensor([[[[1.0, 3], [9, 9]], [[10, 30], [9, 9]]]])
    keep = torch.tensor([[[True, True], [False, False]]])
    batch = Batch(images, torch.tensor([0]), torch.tensor([0]), keep)
    expected = torch.tensor([[[[1.0, 3], [2, 2]], [[10, 30], [20, 20]]]])
    assert torch.equal(cover(batch, fill="mean"), expected)


def test_noise_has_mean_and_deviation_of_the_selected_pixels():
    images = torch.zeros(1, 1, 128, 128)
    images[..., :64, :] = 100 + 10 * torch.randn(64, 128, generator=generator())
    images[..., 64:, :64], images[..., 64:, 64:] = 0, 255
    keep = torch.from_numpy(GRID.mask([1, 2], 128, 128))[None]
    batch = Batch(images, torch.tensor([0]), torch.tensor([0]), keep)
    rest = cover(batch, fill="noise")[0, 0, 64:]
    assert rest.mean() == pytest.approx(100, abs=0.5)
    assert rest.std() == pytest.approx(10, abs=0.5)


def test_a_blurred_point_is_the_gaussian():
    images = torch.zeros(1, 1, 224, 224)
    images[0, 0, 150, 100] = 1e6
    keep = torch.from_numpy(GRID.mask([1], 224, 224))[None]
    batch = Batch(images, torch.tensor([0]), torch.tensor([0]), keep)
    blurred = cover(batch, fill="blur")[0, 0]
    assert blurred[150, 100] == pytest.approx(1e6 / (2 * np.pi * 10**2), rel=0.01)
    assert blurred[160, 100] / blurred[150, 100] == pytest.approx(np.exp(-0.5), rel=1e-3)


def test_linear_imputation_of_one_pixel_is_the_weighted_mean_of_its_neighbours():
    image = torch.tensor([[6.0, 0, 0], [0, 99, 0], [0, 12, 0]])  # 6/12 + 12/6
    keep = torch.ones(1, 3, 3, dtype=torch.bool)
    keep[0, 1, 1] = False
    assert linear_surface(image[None, None], keep)[0, 0, 1, 1].item() == pytest.approx(2.5)


def test_linear_imputation_of_a_corner_divides_by_the_weights_that_are_there():
    image = torch.tensor([[99.0, 5], [10, 20]])  # (5/6 + 10/6 + 20/12) / (1/6 + 1/6 + 1/12)
    keep = torch.tensor([[[False, True], [True, True]]])
    assert linear_surface(image[None, None], keep)[0, 0, 0, 0].item() == pytest.approx(10.0)


def test_linear_imputation_continues_a_plane():
    rows, cols = torch.meshgrid(torch.arange(12.0), torch.arange(10.0), indexing="ij")
    plane = torch.stack([2 * rows + 3 * cols, 7 - cols])[None]
    keep = torch.ones(1, 12, 10, dtype=torch.bool)
    keep[0, 3:9, 2:7] = False
    torch.testing.assert_close(linear_surface(plane, keep), plane, rtol=0, atol=1e-4)


def test_linear_imputation_of_a_large_image_is_solved_smaller_and_enlarged():
    rows = torch.arange(600.0)[:, None].expand(600, 600)
    keep = torch.ones(1, 600, 600, dtype=torch.bool)
    keep[0, 200:400, 200:400] = False
    surface = linear_surface(rows[None, None], keep)[0, 0]
    torch.testing.assert_close(surface[~keep[0]], rows[~keep[0]], rtol=0, atol=4)


@pytest.mark.parametrize("donor", ["any", "same", "other"])
def test_another_image_has_the_class_that_is_wanted(donor):
    batch = batch_of(0, [1])
    rng = generator()

    def draw(n):
        classes = torch.randint(3, (n,), generator=rng)
        images = (200 + classes).view(-1, 1, 1, 1).expand(-1, 1, 16, 16).to(torch.uint8)
        return Batch(images, classes, torch.arange(n))

    images = Cover(fill="other", donor=donor).batch(batch, draw, rng).images
    classes = [int(images[i, 0, -1, -1] - 200) % 3 for i in (0, 2)]
    expected = batch.labels[[0, 2]].tolist()
    matches = [a == b for a, b in zip(classes, expected, strict=True)]
    if donor != "any":
        assert all(match == (donor == "same") for match in matches)
    assert (images[[0, 2], :, 8:] >= 200).all()


def test_where_no_donor_has_the_class_any_is_taken():
    batch = batch_of(0, [1])

    def only_threes(n):
        return Batch(torch.full((n, 1, 16, 16), 9, dtype=torch.uint8), torch.full((n,), 3), None)

    images = Cover(fill="other", donor="same").batch(batch, only_threes, generator()).images
    assert (images[0, 0, 8:] == 9).all()


def test_soft_edges_rise_linearly_over_a_share_of_a_square():
    keep = torch.from_numpy(GRID.mask([1, 3], 8, 16))[None]  # the left half; squares of 4×8
    sizes = square_sizes(keep, torch.tensor([[2, 2]]))
    assert sizes.tolist() == [[4, 8]]
    alpha = softened(keep, sizes, 0.5)  # 2 pixels on either side of the edge at 8
    expected = torch.tensor([1.0] * 6 + [0.8, 0.6, 0.4, 0.2] + [0.0] * 6)
    torch.testing.assert_close(alpha[0], expected.expand(8, 16))


def test_without_a_grid_squares_are_those_of_the_paper():
    keep = torch.ones(3, 32, 64, dtype=torch.bool)
    assert square_sizes(keep, None).tolist() == [[8, 16]]


def test_each_image_has_the_edges_of_its_own_grid():
    keep = torch.zeros(2, 16, 16, dtype=torch.bool)
    keep[:, :, :8] = True
    alpha = softened(keep, square_sizes(keep, torch.tensor([[2, 2], [4, 4]])), 0.5)
    assert (alpha > 0).sum(dim=2)[:, 0].tolist() == [10, 9]


def test_jitter_moves_the_edges_by_up_to_its_share_of_a_square():
    keep = torch.zeros(500, 16, 16, dtype=torch.bool)
    keep[:, :8, :8] = True
    moved = shifted(keep, square_sizes(keep, torch.full((500, 2), 2)), 0.25, generator())
    for axis in (1, 2):
        counts = moved.any(dim=axis).sum(dim=1)
        assert set(counts.tolist()) == {6, 7, 8, 9, 10}
    assert moved[:, 0, 0].all()  # the border moves with the square that touches it


def test_some_draws_leave_an_image_as_it_was():
    batch, rng, treatment = batch_of(0, [1]), generator(), Cover(keep_original=0.25)
    same = 0
    for _ in range(400):
        images = treatment.batch(batch, donors, rng).images
        for i in (0, 2):
            same += torch.equal(images[i], batch.images[i])
            assert torch.equal(images[i], batch.images[i]) or not images[i, 0, 8:].any()
    assert same / 800 == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fill": "x"}, "invalid fill 'x': expected one of black, mean, blur"),
        ({"donor": "x"}, "invalid donor 'x': expected one of any, same, other"),
        ({"donor": "same"}, "donor=same chooses .* give fill=other, or leave donor out"),
        ({"soft": -0.1}, "invalid soft -0.1: expected a number from 0 to 1"),
        ({"jitter": float("nan")}, "invalid jitter nan"),
        ({"keep_original": 2}, "invalid keep_original 2"),
        ({"weight": 0}, "invalid weight 0: expected a whole number from 1 to 100"),
        ({"weight": 1.5}, r"invalid weight 1\.5"),
    ],
)
def test_an_option_out_of_range_is_refused(options, message):
    with pytest.raises(SettingsError, match=message):
        Cover(**options)


class Deep:
    """16-bit images of a constant brightness."""

    def __len__(self):
        return 4

    def __getitem__(self, i):
        return np.full((8, 8), 10_000 * (i + 1), np.uint16), i % 2


@pytest.mark.parametrize("fill", FILLS)
def test_a_data_set_of_16_bit_images_keeps_their_depth(fill):
    from imil.cases import Correction

    seen = []

    def record(image):
        seen.append(image)
        return torch.zeros(1)

    samples = CorrectedDataset(
        Deep(), labels=[0, 1, 0, 1], treatment=Cover(fill=fill), transform=record, view=record
    )
    samples.correct(1, Correction(GRID, (1,)))
    samples[1]
    (image,) = seen
    assert image.dtype == np.uint16
    assert (image[:4, :4] == 20_000).all()
    rest = np.unique(image[4:])
    expected = {"black": [[0]], "other": [[10_000], [30_000], [40_000]]}.get(fill, [[20_000]])
    assert rest.tolist() in expected


def test_weights_say_how_often_a_sampler_draws_corrected_samples():
    from imil.cases import Correction

    samples = CorrectedDataset(Deep(), labels=[0, 1, 0, 1], treatment=Cover(weight=3))
    samples.correct(2, Correction(GRID, (1,)))
    assert samples.weights().tolist() == [1, 1, 3, 1]


def test_random_squares_are_as_many_and_drawn_anew_in_each_draw():
    batch = batch_of(0, [1])
    draws = [Cover(squares="random").batch(batch, donors, generator(seed)) for seed in range(8)]
    kept = set()
    for one in draws:
        assert torch.equal(one.images[[1, 3]], batch.images[[1, 3]])
        for i in (0, 2):
            shares = GRID.shares(one.keep[i].numpy())
            assert sorted(shares) == [0, 0, 0, 1]
            kept.add(int(shares.argmax()))
            assert torch.equal(one.images[i, 0] > 0, one.keep[i])
    assert kept == {0, 1, 2, 3}


def test_squares_of_nobody_else_are_refused():
    with pytest.raises(SettingsError, match="invalid squares 'mine': expected one of readers"):
        Cover(squares="mine")
