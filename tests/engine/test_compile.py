"""Student and teacher through ``torch.compile``: the same losses, whole graphs, no compilation later on."""

import pytest
import torch
from mmengine.hooks import Hook
from torch._dynamo.utils import counters


@pytest.fixture
def graphs(monkeypatch):
    """Graphs that were compiled, by a backend that runs them as they are."""
    found = []

    def backend(graph, inputs):
        found.append(graph)
        return graph.forward

    compile_module = torch.nn.Module.compile
    monkeypatch.setattr(
        torch.nn.Module, 'compile', lambda self, **options: compile_module(self, backend=backend, **options)
    )
    torch._dynamo.reset()
    counters.clear()
    yield found
    torch._dynamo.reset()


class Watch(Hook):
    """Graphs at the end of each epoch, with its validation."""

    def __init__(self, graphs):
        self.graphs, self.counts = graphs, []

    def after_val_epoch(self, runner, metrics=None):
        self.counts.append(len(self.graphs))


@pytest.mark.parametrize('method, most', [('mldrkd', 5), ('hcd', 7)])
def test_losses_are_equal_and_nothing_is_compiled_after_the_second_epoch(
    method, most, runner_of, graphs, tmp_path
):
    losses = []
    for compiled in (False, True):
        watch = Watch(graphs)
        runner = runner_of(
            method,
            work_dir=tmp_path / str(compiled),
            train_cfg__max_epochs=4,
            train_cfg__val_interval=1,
            train_dataloader__dataset__per_class=5,
            train_dataloader__drop_last=False,  # the last batch of an epoch is smaller
            train_dataloader__batch_size=20,
            model__teacher__compile=compiled,
            model__student__compile=compiled,
        )
        runner.register_hook(watch)
        runner.train()
        names = sorted(x for x in runner.message_hub.log_scalars if x.startswith('train/loss'))
        losses.append([runner.message_hub.get_scalar(x).data[0] for x in names])
        if not compiled:
            assert watch.counts == [0] * 4
    for one, other in zip(*losses):
        torch.testing.assert_close(torch.tensor(one), torch.tensor(other), rtol=1e-4, atol=1e-5)
    assert not counters['graph_break'], 'the nets are one graph each'
    # Each net, the smaller last batch, and the student in validation.
    assert 3 <= watch.counts[1] == watch.counts[-1] <= most
