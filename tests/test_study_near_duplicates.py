"""Images that are the same, or almost: what counts as alike, and that every pair is looked at."""

import numpy as np
import PIL.Image
import pytest

from imil.data import near_duplicates
from imil.data.near_duplicates import (
    MIN_CORRELATION,
    edge_vector,
    edge_vectors,
    find_near_duplicates,
    identical_files,
)
from imil.images.load import load_image
from imil.images.resize import resize_to_square


def any_pair(i, _j):
    return np.ones(len(i), bool)


def alike(a, b):
    return float(edge_vector(a).astype(float) @ edge_vector(b).astype(float))


def blobs(seed, side=64):
    rough = np.random.default_rng(seed).integers(30, 200, (9, 9)).astype(np.uint8)
    picture = PIL.Image.fromarray(rough).resize((side, side), PIL.Image.Resampling.BICUBIC)
    return np.asarray(picture)


def test_equal_contents_are_grouped_in_order():
    assert identical_files(["x", "y", "x", "z", "y", "x"]) == [(0, 2, 5), (1, 4)]
    assert identical_files(["x", "y"]) == []


def test_an_edge_vector_follows_its_definition():
    """An image of 32 × 32 with one bright pixel in a corner has two edges there: 1/√2 each."""
    image = np.zeros((32, 32), np.uint8)
    image[0, 0] = 100
    edges = edge_vector(image).astype(float)
    assert len(edges) == 2 * 31 * 32
    down, right = edges[: 31 * 32].reshape(31, 32), edges[31 * 32 :].reshape(32, 31)
    assert down[0, 0] == pytest.approx(-(0.5**0.5), abs=1e-3)
    assert right[0, 0] == pytest.approx(-(0.5**0.5), abs=1e-3)
    assert np.count_nonzero(edges) == 2


def test_similarity_is_the_correlation_of_square_rooted_edges():
    a, b = blobs(1, 32).astype(float), blobs(2, 32).astype(float)

    def edges(image):
        steps = [image[1:] - image[:-1], image[:, 1:] - image[:, :-1]]
        return np.concatenate([(np.sign(s) * abs(s) ** 0.5).ravel() for s in steps])

    expected = edges(a) @ edges(b) / (edges(a) @ edges(a) * (edges(b) @ edges(b))) ** 0.5
    assert alike(a.astype(np.uint8), b.astype(np.uint8)) == pytest.approx(expected, abs=1e-3)


def test_brightness_and_contrast_change_nothing():
    image = blobs(1)
    assert alike(image, image + np.uint8(20)) == pytest.approx(1, abs=2e-3)
    assert alike(image, (image // 2)) > 0.98


def test_a_negative_is_the_opposite():
    image = blobs(1)
    assert alike(image, 255 - image) == pytest.approx(-1, abs=5e-3)


def test_a_uniform_image_is_similar_to_no_other():
    flat = np.full((64, 64), 9, np.uint8)
    assert alike(flat, flat) == 0
    assert find_near_duplicates(edge_vectors([flat, flat, blobs(1)]), any_pair, shown=5) == (0, [])


def test_colour_images_are_compared_by_their_grey():
    image = blobs(1)
    assert alike(np.dstack([image] * 3), image) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("share", "likeness", "pairs"), [(0.35, 0.877, 0), (0.3, 0.917, 0), (0.28, 0.931, 1)]
)
def test_similar_films_are_not_near_duplicates(share, likeness, pairs):
    one, other = blobs(1).astype(float), blobs(2).astype(float)
    mixed = ((1 - share) * one + share * other).astype(np.uint8)
    assert alike(blobs(1), mixed) == pytest.approx(likeness, abs=2e-3)
    assert find_near_duplicates(edge_vectors([blobs(1), mixed]), any_pair, shown=1)[0] == pairs


def test_every_pair_is_found_once_wherever_the_blocks_end(monkeypatch):
    monkeypatch.setattr(near_duplicates, "BLOCK", 4)
    images = [blobs(seed) for seed in range(11)]
    images += [images[2], images[10], images[2]]  # positions 11, 12, 13
    count, pairs = find_near_duplicates(edge_vectors(images), any_pair, shown=9)
    assert count == 4
    assert sorted((i, j) for i, j, _ in pairs) == [(2, 11), (2, 13), (10, 12), (11, 13)]
    assert all(likeness == pytest.approx(1, abs=1e-3) for _, _, likeness in pairs)


def test_the_most_similar_pairs_are_shown_first_and_all_wanted_pairs_are_counted():
    image = blobs(1)
    noise = np.random.default_rng(0)
    copies = [
        np.clip(image + noise.normal(0, s, image.shape), 0, 255).astype(np.uint8) for s in (9, 3, 6)
    ]
    prints = edge_vectors([image, *copies])

    def with_the_first(i, _j):
        return i == 0

    count, pairs = find_near_duplicates(prints, with_the_first, min_correlation=0.5, shown=2)
    assert count == 3
    assert [(i, j) for i, j, _ in pairs] == [(0, 2), (0, 3)]


def test_the_threshold_lies_between_copies_and_other_films(shenzhen):
    """What the module's docstring says was measured, on some of the films."""
    paths = sorted((shenzhen / "images").glob("*.jpg"))
    films = [load_image(path) for path in paths]
    prints = edge_vectors([resize_to_square(film, 64, 1) for film in films]).astype(np.float32)
    between = prints @ prints.T
    np.fill_diagonal(between, -1)
    assert between.max() < 0.82
    for film, vector in list(zip(films, prints, strict=True))[::20]:
        picture = PIL.Image.fromarray(film)
        for copy in (picture.resize((256, 256)), picture.rotate(1, PIL.Image.Resampling.BILINEAR)):
            result = edge_vector(resize_to_square(np.asarray(copy), 64, 1)).astype(np.float32)
            assert float(result @ vector) >= MIN_CORRELATION
