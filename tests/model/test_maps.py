"""The maps: placing a query by hand, the joint layout, and the epochs of a training."""

import subprocess
import sys

import numpy as np
import pytest
from memories import memory_of
from transformers import set_seed

from reaugkd.analysis.edits import Edit, apply_patch
from reaugkd.method.distillation import train_classifier
from reaugkd.method.projection import ProjectionHead
from reaugkd.method.teacher import TeacherOutputs
from reaugkd.model.classifier import ReAugKDClassifier
from reaugkd.model.maps import WATCHED_ROWS, EpochWatch, ProjectionMaps, TrainingEpochs, far_below, fit_maps, joint_umap
from reaugkd.networks.encoders import TextClassifier
from reaugkd.recipe import TrainingSettings
from reaugkd.tasks.sources import SHOPTALK_TEACHER_OUTPUTS, load_task


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def scene(rows=30, seed=0):
    random = np.random.default_rng(seed)
    z, x = unit(random.normal(size=(rows, 6))), unit(random.normal(size=(rows, 6)))
    memory = memory_of(z, np.full((rows, 2), 0.5))
    points = random.normal(size=(2, rows, 2)).astype(np.float32) * 5
    return memory, ProjectionMaps(np.stack(points, axis=1), x.astype(np.float32)), z, x


def placed_by_hand(query, keys, points):
    """The mean of the 8 nearest points, weighted by softmax of cosine / 0.02."""
    cosines = keys @ unit(query)
    nearest = np.argsort(-cosines)[:8]
    weights = np.exp(cosines[nearest] / 0.02)
    return (weights[:, None] * points[nearest]).sum(axis=0) / weights.sum()


def test_the_star_of_a_query_lies_at_the_mean_of_a_keys_neighbours_each_with_its_weight_in_the_vote(pooled_model):
    maps, query = pooled_model.maps, pooled_model.encode(["iron and rain"])
    for part in pooled_model.explain("iron and rain").keys:
        key = pooled_model.memory.keys[part.name].astype(np.float64)
        cosines = key @ unit(query.queries[part.name][0].astype(np.float64))
        nearest = np.argsort(-cosines, kind="stable")[: part.settings.k]
        weights = np.exp(cosines[nearest] / part.settings.temperature)
        weights /= weights.sum()
        for panel, points in enumerate((maps.points[:, 0], maps.points[:, 1])):
            np.testing.assert_allclose(maps.star(part)[panel], weights @ points[nearest], rtol=1e-4, atol=1e-4)


def test_a_query_is_far_by_a_key_where_99_of_100_validation_rows_have_a_nearer_memory(pooled_model):
    answers = pooled_model.answer(pooled_model.encode_rows(pooled_model.held_out(["validation"])))
    limits = far_below(answers)
    assert set(limits) == {"aligned", "text"}
    for name, key in pooled_model.memory.keys.items():
        nearest = (answers.encoded.queries[name] @ key.T).max(axis=1)
        assert limits[name] == pytest.approx(np.percentile(nearest, 1), abs=1e-5)
    (words,) = pooled_model.encode(["zzz qqq"]).queries["text"]
    assert (pooled_model.memory.keys["text"] @ words).max() < limits["text"]


@pytest.mark.parametrize("rows", [30, 5])
def test_a_query_lies_at_the_weighted_mean_of_its_nearest_memories_in_each_map(rows):
    memory, maps, z, x = scene(rows)
    query = np.random.default_rng(7).normal(size=6) * 3
    (placed,) = maps.place(query[None], memory)
    wanted = [placed_by_hand(query, z, maps.points[:, 0]), placed_by_hand(query, x, maps.points[:, 1])]
    np.testing.assert_allclose(placed, wanted, rtol=1e-3, atol=1e-4)
    assert placed.shape == (2, 2)


def test_a_memory_that_is_asked_for_itself_lies_nearly_on_its_own_point():
    memory, maps, _, x = scene()
    np.testing.assert_allclose(maps.place(x[3:4], memory)[0, 1], maps.points[:, 1][3], atol=1e-2)


@pytest.mark.slow  # another process imports torch
def test_placing_needs_no_umap():
    code = (
        "import sys, numpy as np, pandas as pd\n"
        "from reaugkd.method.memory import Memory\n"
        "from reaugkd.model.maps import ProjectionMaps\n"
        "import reaugkd.model.classifier\n"
        "rows = pd.DataFrame({'id': list('abc'), 'text': list('abc'), 'label': list('abc')})\n"
        "keys = np.eye(3, dtype=np.float32)\n"
        "memory = Memory(rows, tuple('abc'), keys, keys, {})\n"
        "place = ProjectionMaps(np.stack([keys[:, :2]] * 2, axis=1), keys).place(keys[:1], memory)\n"
        "assert np.allclose(place, [[[1, 0], [1, 0]]]), place\n"
        "assert not {'umap', 'numba', 'pynndescent'} & set(sys.modules), 'umap was imported'\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def spaces():
    """Two spaces in which the same three clusters lie in the same places."""
    random = np.random.default_rng(1)
    centres = unit(random.normal(size=(3, 6)))[np.arange(45) % 3]
    return [unit(centres + 0.05 * random.normal(size=(45, 6))).astype(np.float32) for _ in range(2)]


@pytest.mark.filterwarnings("ignore")
def test_the_same_seed_gives_the_same_maps(spaces):
    first, again = fit_maps(*spaces, seed=3), fit_maps(*spaces, seed=3)
    np.testing.assert_array_equal(first.points, again.points)
    np.testing.assert_allclose(first.student_embeddings, spaces[1], atol=1e-6)
    assert first.points.shape == (45, 2, 2)


@pytest.mark.filterwarnings("ignore")
def test_positions_compare_between_the_maps(spaces):
    maps = fit_maps(*spaces)
    clusters = np.arange(45) % 3
    centres = [
        np.stack([points[clusters == cluster].mean(axis=0) for cluster in range(3)])
        for points in (maps.points[:, 0], maps.points[:, 1])
    ]
    distances = np.linalg.norm(centres[0][:, None] - centres[1][None, :], axis=-1)
    np.testing.assert_array_equal(distances.argmin(axis=1), [0, 1, 2])


@pytest.mark.filterwarnings("ignore")
def test_a_held_out_row_lies_at_its_own_embeddings(spaces):
    clusters = np.arange(45) % 3
    z, x = spaces[0][:4].copy(), spaces[1][[1, 2, 0, 1]]  # the student takes all of them for another cluster
    maps = fit_maps(*spaces, (z, x))
    assert maps.held_out.shape == (4, 2, 2)

    def cluster_at(place, points):
        centres = np.stack([points[clusters == cluster].mean(axis=0) for cluster in range(3)])
        return int(np.linalg.norm(centres - place, axis=1).argmin())

    assert [cluster_at(place, maps.points[:, 0]) for place in maps.held_out[:, 0]] == [0, 1, 2, 0]
    assert [cluster_at(place, maps.points[:, 1]) for place in maps.held_out[:, 1]] == [1, 2, 0, 1]


def test_a_trained_model_has_a_place_for_each_of_its_held_out_rows(toy_model):
    places = toy_model.maps.held_out
    assert places.shape == (len(toy_model.evaluation_rows), 2, 2)
    assert np.isfinite(places).all()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow  # the whole shipped task
def test_a_point_of_the_shipped_task_can_be_hit_at_four_times_zoom(toy_encoder_folder):
    """The shipped teacher's collapsed memory twice, by two heads; a student's own embeddings lie farther apart."""
    task, outputs = load_task("shoptalk"), TeacherOutputs.load(SHOPTALK_TEACHER_OUTPUTS)
    hidden = {split: outputs.of(split)[0] for split in ("train", "validation", "test")}
    spaces = []
    for seed in (0, 1):
        options = {"student": str(toy_encoder_folder), "seed": seed, "on_progress": lambda _: None}
        head = ProjectionHead.fit(task, hidden["train"], **options)
        spaces.append({split: head.project(rows) for split, rows in hidden.items()})
    held_out = tuple(np.concatenate([space["validation"], space["test"]]) for space in spaces)
    maps = fit_maps(spaces[0]["train"], spaces[1]["train"], held_out)
    panels = [np.concatenate([maps.points[:, panel], maps.held_out[200:, panel]]) for panel in (0, 1)]
    low, high = np.concatenate(panels).min(axis=0), np.concatenate(panels).max(axis=0)
    scale = 4 * 0.92 * np.min([600, 460] / (high - low))  # as app/static/map_canvas.js draws them
    for points in panels:
        assert len(points) == 1_400
        distances = np.linalg.norm(scale * (points[:, None] - points[None]), axis=2)
        others = (distances <= 5).sum(axis=1) - 1
        assert np.median(others) <= 3
        assert np.percentile(others, 95) <= 8


@pytest.mark.filterwarnings("ignore")
def test_a_space_that_is_teachers_and_students_is_laid_out_once(spaces):
    first, again = joint_umap([spaces[0], spaces[0]])
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, *joint_umap([spaces[0]]))


@pytest.mark.filterwarnings("ignore")
def test_maps_are_widest_from_left_to_right(spaces):
    every = np.concatenate(joint_umap(spaces))
    covariance = np.cov(every.T)
    assert covariance[0, 0] > covariance[1, 1]
    assert covariance[0, 1] == pytest.approx(0, abs=1e-3 * covariance[0, 0])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rows", [2, 5])
def test_a_handful_of_rows_is_laid_out_too(rows):
    random = np.random.default_rng(0)
    spaces = [random.normal(size=(rows, 4)).astype(np.float32) for _ in range(2)]
    points = joint_umap(spaces)
    assert [space.shape for space in points] == [(rows, 2), (rows, 2)]
    assert all(np.isfinite(space).all() for space in points)


@pytest.mark.filterwarnings("ignore")
def test_rows_that_are_all_the_same_are_laid_out_too():
    points = joint_umap([np.ones((20, 4), dtype=np.float32)] * 2)
    assert all(np.isfinite(space).all() for space in points)


def embeddings(rows, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, 6)).astype(np.float32)


LABELS = np.asarray(["a", "b"] * 2_500)


def test_the_axes_are_the_principal_ones_of_the_teachers_embeddings_and_stay(tmp_path):
    z, x = embeddings(40).astype(np.float64), embeddings(40, seed=1)
    _, lengths, axes = np.linalg.svd(z - z.mean(axis=0), full_matrices=False)
    watch = EpochWatch(z.astype(np.float32), LABELS)
    for epoch in (0, 1):
        epochs = watch.seen(epoch, x + epoch, tmp_path / "epochs.parquet")
    for found, wanted in (
        (epochs.teacher_points, (z - z.mean(axis=0)) @ axes[:2].T),
        (epochs.student_points[1], (x + 1 - z.mean(axis=0)) @ axes[:2].T),
    ):
        signs = np.sign((found * wanted).sum(axis=0))  # an axis may point either way
        np.testing.assert_allclose(found * signs, wanted, atol=1e-4)
    assert epochs.explained == pytest.approx((lengths[:2] ** 2).sum() / (lengths**2).sum(), abs=1e-6)


def test_of_many_memories_some_evenly_drawn_are_watched():
    rows = EpochWatch(embeddings(5_000), LABELS).rows
    assert len(rows) == WATCHED_ROWS
    assert rows[0] == 0
    assert rows[-1] == 4_999
    assert set(np.diff(rows)) <= {16, 17}


def test_what_was_seen_survives_an_interruption_and_an_epoch_seen_again_is_kept_once(tmp_path):
    z, path = embeddings(10), tmp_path / "epochs.parquet"
    first = EpochWatch(z, LABELS)
    for epoch in (0, 1, 2):
        first.seen(epoch, embeddings(10, seed=epoch), path)
    again = EpochWatch(z, LABELS).seen(2, embeddings(10, seed=9), path)
    assert len(again) == 3
    loaded = TrainingEpochs.load(path)
    np.testing.assert_array_equal(loaded.student_points, again.student_points)
    np.testing.assert_array_equal(loaded.rows, np.arange(10))
    assert loaded.labels.tolist() == ["a", "b"] * 5
    assert loaded.explained == again.explained
    np.testing.assert_array_equal(EpochWatch(z, LABELS).seen(0, z, path).student_points[0], again.teacher_points)


def test_a_student_that_is_watched_learns_the_same(toy_task, toy_encoder_folder, tmp_path):
    settings = TrainingSettings(2, learning_rate=1e-3, batch_size=16, bf16=False)
    seen = []

    def look(epoch, student):
        seen.append((epoch, student.encode(["iron and steel"])[0][0]))

    def student(name, **options):
        set_seed(0)
        classifier = TextClassifier.from_pretrained(toy_encoder_folder, 3)
        options |= {"folder": tmp_path / name, "on_progress": lambda _: None}
        train_classifier(classifier, toy_task, settings, name, **options)
        return classifier

    watched, alone = student("watched", on_epoch=look), student("alone")
    assert [epoch for epoch, _ in seen] == [0, 1, 2]
    assert not np.allclose(seen[0][1], seen[1][1])
    text = ["plum and rain"]
    np.testing.assert_array_equal(watched.encode(text)[1], alone.encode(text)[1])
    np.testing.assert_array_equal(seen[-1][1], watched.encode(["iron and steel"])[0][0])


def test_a_trained_model_keeps_the_epochs_of_its_student(toy_model, toy_recipe):
    epochs, memory = toy_model.epochs, toy_model.memory
    assert len(epochs) == toy_recipe.epochs + 1
    np.testing.assert_array_equal(epochs.rows, np.arange(len(memory)))
    assert epochs.labels.tolist() == memory.rows["label"].tolist()
    distance = np.linalg.norm(epochs.student_points - epochs.teacher_points, axis=2).mean(axis=1)
    assert distance[-1] < 0.7 * distance[0]


def test_an_edited_memory_keeps_the_epochs_of_the_rows_that_are_left(toy_model, tmp_path):
    epochs, rows = toy_model.epochs, toy_model.memory.rows
    edited = apply_patch(toy_model, (Edit("remove", rows["id"].iloc[0]),)).epochs
    np.testing.assert_array_equal(edited.rows, np.arange(len(rows) - 1))
    np.testing.assert_array_equal(edited.student_points, epochs.student_points[:, 1:])
    unwatched = toy_model.memory.rows["id"].drop(epochs.rows)
    assert unwatched.empty  # all are watched; so the patch below leaves none that was
    texts = [Edit("add", f"new-{number}", toy_model.classes_[0], f"apple {number}") for number in range(3)]
    emptied = apply_patch(toy_model, (*texts, *(Edit("remove", name) for name in rows["id"])))
    assert emptied.epochs is None
    emptied.save_pretrained(tmp_path / "model")
    assert ReAugKDClassifier.from_pretrained(tmp_path / "model").predict(["apple"]).tolist() == [emptied.classes_[0]]
    turned = epochs.of_rows(np.asarray([7, 5, 4]))
    np.testing.assert_array_equal(turned.rows, [2, 1, 0])
    np.testing.assert_array_equal(turned.student_points, epochs.student_points[:, [4, 5, 7]])
    assert turned.labels.tolist() == epochs.labels[[4, 5, 7]].tolist()
