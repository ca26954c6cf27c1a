"""Each plot writes a file that shows its data."""

import re

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from PIL import Image

from hetkd import visualization
from hetkd.visualization import Panel, Tile


@pytest.fixture
def figures(monkeypatch):
    """List of the figures that are saved."""
    saved, save = [], Figure.savefig
    monkeypatch.setattr(Figure, 'savefig', lambda self, *a, **kw: saved.append(self) or save(self, *a, **kw))
    return saved


def texts(figure):
    return [x.get_text() for x in figure.findobj(lambda x: hasattr(x, 'get_text'))]


def covers_nothing(legend):
    figure = legend.get_figure(root=True)
    boxes = [axes.get_window_extent() for axes in figure.axes]
    return not any(legend.get_window_extent().overlaps(box) for box in boxes)


def is_picture(path):
    image = np.asarray(Image.open(path))
    return len(np.unique(image.reshape(-1, image.shape[-1]), axis=0)) > 10


def test_heat_maps_write_numbers_and_names_of_small_matrices_only(tmp_path, figures):
    for size in (3, 30):
        values = np.linspace(-1, 1, size * size).reshape(size, size)
        names = [f'class {i}' for i in range(size)]
        visualization.heat_maps(
            tmp_path / f'{size}.png', [Panel('one', values, (-1, 1))], 'x', 'y', names, names
        )
        assert is_picture(tmp_path / f'{size}.png')
    small, large = map(texts, figures)
    assert {'one', 'class 2', '-0.75', '1.00'} <= set(small)
    assert 'one' in large and not {'class 2', '-1.00'} & set(large)


def test_curves_have_a_panel_a_quantity_and_a_line_a_run(tmp_path, figures):
    line = ([1, 2], [3.0, 4.0])
    runs = {'first': {'loss': line, 'lr': line}, 'second': {'loss': line}}
    visualization.curves(tmp_path / 'x.png', runs, ['loss', 'lr'], 'both runs')
    assert is_picture(tmp_path / 'x.png')
    assert [len(x.lines) for x in figures[0].axes] == [2, 1]
    assert {'first', 'second', 'loss', 'lr', 'both runs'} <= set(texts(figures[0]))


def test_a_comparison_has_a_row_a_config_and_a_curve_a_run(tmp_path, figures):
    groups = {
        'kd/a': visualization.Runs([20.0, 30.0], [{2: 20.0, 1: 10.0}, {1: 30.0}]),
        'ofa/b': visualization.Runs([], [{}]),
    }
    visualization.comparison(tmp_path / 'x.png', groups, 'top-1')
    visualization.comparison(tmp_path / 'y.png', {str(i): groups['kd/a'] for i in range(13)}, 'top-1')
    assert is_picture(tmp_path / 'x.png')
    left, right = figures[0].axes
    (mean, *_), _ = left.containers[0].get_children()[0].get_data()
    assert mean == 25 and 'no finished run' in texts(left)
    assert [list(x.get_xdata()) for x in right.lines] == [[1, 2], [1], []]
    (legend,) = figures[0].legends
    assert not figures[1].legends, 'too many for a legend'
    assert covers_nothing(legend)


def test_reliability_bars_are_accuracies(tmp_path, figures):
    net = dict(count=[0, 4, 0, 10], right=[0, 1, 0, 9], confidence=[0, 1.5, 0, 8.5], accuracy=71.4, ece=7.1)
    groups = dict(both_right=5, teacher_only=3, student_only=0, both_wrong=2)
    visualization.reliability(tmp_path / 'x.png', {'student': net}, groups)
    assert is_picture(tmp_path / 'x.png')
    diagram, bar = figures[0].axes
    bars = [(x.get_x(), round(x.get_height(), 3)) for x in diagram.patches[:2]]
    assert bars == [(0.25, 0.25), (0.75, 0.9)]
    assert [x.get_width() for x in bar.patches] == [5, 3, 0, 2]
    assert 'student: top-1 71.4 %, ECE 7.1 %' in texts(figures[0])
    legends = figures[0].findobj(Legend)
    assert len(legends) == 2 and all(map(covers_nothing, legends))


def test_shares_add_up_to_a_hundred(tmp_path, figures):
    visualization.shares(tmp_path / 'x.png', {'step': [1, 2, 5]}, ['a', 'b', 'c'], {'step': '8 G'})
    assert is_picture(tmp_path / 'x.png')
    assert [x.get_width() for x in figures[0].axes[0].patches] == [12.5, 25, 62.5]
    assert {'12 %', '62 %', '8 G'} <= set(texts(figures[0]))


def test_a_grid_of_images_with_heat_and_names(tmp_path, figures):
    image = np.random.default_rng(0).random((8, 8, 3))
    rows = [[Tile(image, 'a'), Tile(image, 'b', np.eye(2))], [Tile(image)]]
    visualization.image_grid(tmp_path / 'x.png', rows, ['student', 'teacher'])
    assert is_picture(tmp_path / 'x.png')
    assert [len(x.images) for x in figures[0].axes] == [1, 2, 1, 0]
    assert figures[0].get_figwidth() >= 5, 'inches: few images are not tiny'
    assert {'a', 'b', 'student', 'teacher'} <= set(texts(figures[0]))


def test_points_are_coloured_by_class(tmp_path, figures):
    points = np.random.default_rng(0).random((9, 2))
    for legend in (True, False):
        labels = np.repeat([0, 2, 3], 3)
        visualization.scatter(tmp_path / 'x.png', {'student': points}, labels, ['a', 'b', 'c', 'd'], legend)
    assert is_picture(tmp_path / 'x.png')
    collections = figures[0].axes[0].collections
    assert [x.get_offsets().tolist() for x in collections] == points.reshape(3, 3, 2).tolist()
    assert len({tuple(x.get_facecolor()[0]) for x in collections}) == 3
    assert 'c' in texts(figures[0]) and 'b' not in texts(figures[0]) and 'c' not in texts(figures[1])


def test_fusion_weights_are_averaged_by_stage_class_and_sample(tmp_path, figures):
    weights = np.random.default_rng(0).dirichlet([1] * 3, (6, 4)).transpose(2, 0, 1)
    target = np.array([1, 0, 3, 2, 0, 1])
    visualization.fusion_weights(tmp_path / 'x.png', weights, target, ['a', 'b', 'c', 'd'])
    bars, classes, samples = figures[0].axes[:3]
    assert [x.get_height() for x in bars.patches] == pytest.approx(weights.mean((1, 2)))
    np.testing.assert_allclose(classes.images[0].get_array(), weights.mean(1))
    order = [1, 4, 0, 5, 3, 2]
    np.testing.assert_allclose(samples.images[0].get_array(), weights.mean(2)[:, order])


def test_sub_logits_are_named_by_stage(tmp_path, figures):
    accuracy = np.array([[90.0, 80.0], [70.0, 60.0]])
    visualization.sub_logits(tmp_path / 'x.png', np.eye(4), accuracy, accuracy / 2, 85.0, 95.0)
    left, right = figures[0].axes[:2]
    assert [x.get_height() for x in right.patches] == [90, 80, 70, 60, 45, 40, 35, 30]
    assert [x.get_text() for x in left.get_xticklabels()] == ['1.1', '1.2', '2.1', '2.2']
    assert {'teacher 95.0', 'student 85.0'} <= set(texts(figures[0]))
    assert covers_nothing(right.get_legend())


def test_few_points_are_marked_and_epochs_are_whole(tmp_path, figures):
    few, many = ([11, 22], [97.0, 98.5]), (list(range(22)), list(range(22)))
    visualization.curves(tmp_path / 'x.png', {'run': {'top1': few, 'loss': many}}, ['top1', 'loss'])
    first, second = figures[0].axes
    assert (first.lines[0].get_marker(), second.lines[0].get_marker()) == ('o', 'None')
    assert all(x == int(x) for x in first.get_xticks())


def test_a_curve_of_one_point_is_seen(tmp_path, figures):
    visualization.curves(tmp_path / 'x.png', {'run': {'loss': ([1], [3.0])}}, ['loss'])
    runs = visualization.Runs([20.0], [{1: 20.0}])
    visualization.comparison(tmp_path / 'y.png', {'kd/a': runs}, 'top-1')
    assert figures[0].axes[0].lines[0].get_marker() == figures[1].axes[1].lines[0].get_marker() == 'o'


def test_the_titles_of_a_gain_chart_are_whole():
    bars = {'KD': visualization.Bar(3.0, 0.5, True)}
    setting = 'Digits, 5 labels per class, the other images unlabelled, 16 px; epochs: 22, seeds: 3'
    chart = visualization.gain_chart({f'CNN student: vit-micro → cnn-micro\n{setting}': bars})
    width = int(re.search(r'viewBox="0 0 (\d+)', chart)[1])
    lines = re.findall(r'x="14"[^>]*>([^<]*)<', chart)
    assert lines == ['CNN student: vit-micro → cnn-micro', setting]
    assert max(map(len, lines)) * 7.5 < width, 'pixels of a letter'
