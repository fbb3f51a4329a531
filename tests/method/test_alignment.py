"""Each measure of alignment means what it says."""

import numpy as np
import pytest
from memories import memory_of

from reaugkd.method.alignment import alignment, cka, class_agreement, within_class_cosine


def memory_with(embeddings, labels):
    return memory_of(embeddings, np.full((len(embeddings), 3), 1 / 3), labels=labels)


def random_unit(rows, width, seed):
    vectors = np.random.default_rng(seed).normal(size=(rows, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_alignment_of_a_space_with_itself_is_complete():
    queries, memory = random_unit(7, 8, 3), memory_with(random_unit(60, 8, 4), ["a", "b", "c"] * 20)
    aligned = alignment(queries, queries, memory)
    for name in ("overlap_at_10", "class_agreement_at_10", "cka", "cosine"):
        assert aligned[name] == pytest.approx(1, abs=1e-6)


def test_alignment_equals_a_count_by_hand():
    memory = memory_with([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9]], ["a", "a", "a", "b"])
    student = np.asarray([[1, 0], [0, 1]], np.float32)
    teacher = np.asarray([[1, 0], [1, 0]], np.float32)
    aligned = alignment(student, teacher, memory, k=2)
    # The first query finds the same two memories, the second the other two; the cosines are 1 and 0.
    assert aligned["overlap_at_2"] == 0.5
    assert aligned["cosine"] == pytest.approx(0.5)
    # The second query's classes are a, b and a, a: half of them agree.
    assert aligned["class_agreement_at_2"] == pytest.approx(0.75)


def test_class_agreement_of_other_memories_of_the_same_classes_is_complete():
    assert class_agreement(np.asarray([[0, 1, 1]]), np.asarray([[1, 0, 1]]), 2) == 1
    assert class_agreement(np.asarray([[0, 0]]), np.asarray([[1, 1]]), 2) == 0


def test_cka_does_not_see_rotation_scale_and_shift_but_sees_another_space():
    space = random_unit(50, 6, 0).astype(np.float64)
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))
    assert cka(space, 3 * space @ rotation + 2) == pytest.approx(1)
    assert cka(space, random_unit(50, 6, 2)) < 0.5


def test_cka_equals_its_definition_by_kernel_matrices():
    one, other = random_unit(20, 4, 5).astype(np.float64), random_unit(20, 3, 6).astype(np.float64)
    centre = np.eye(20) - 1 / 20
    k, l = centre @ one @ one.T @ centre, centre @ other @ other.T @ centre  # noqa: E741 (the paper's letters)
    assert cka(one, other) == pytest.approx((k * l).sum() / np.sqrt((k * k).sum() * (l * l).sum()))


def test_within_class_cosine_is_the_mean_over_pairs_and_then_classes():
    embeddings = random_unit(9, 5, 7)
    memory = memory_with(embeddings, list("aaaabbbbc"))
    means = []
    for start in (0, 4):
        pairs = [embeddings[i] @ embeddings[j] for i in range(start, start + 4) for j in range(start, i)]
        means.append(np.mean(pairs))
    assert within_class_cosine(memory) == pytest.approx(np.mean(means), abs=1e-6)


def test_collapsed_classes_have_a_cosine_of_one():
    assert within_class_cosine(memory_with([[1, 0], [1, 0], [0, 1], [0, 1]], list("aabb"))) == pytest.approx(1)
