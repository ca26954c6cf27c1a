"""What is looked at during a run: gradients, agreement, progress; none of it changes the run."""

import io
import sys
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub, MMLogger
from torch.utils.data import DataLoader

from hetkd.engine import GradientCosineHook, ProgressHook, TeacherAgreementHook
from hetkd.functional import term_gradients
from hetkd.registry import MODELS
from hetkd.testing import micro_net


def distiller(kind='MLDRKD', **more):
    teacher = micro_net('vit', checkpoint='random')
    return MODELS.build(dict(type=kind, teacher=teacher, student=micro_net('cnn'), **more)).train()


def test_the_gradient_of_each_term_is_its_own():
    weights = [torch.randn(2, 3, requires_grad=True), torch.randn(3, requires_grad=True)]
    losses = dict(both=(weights[0] * weights[1]).sum(), one=weights[1].square().sum(), none=torch.tensor(1.0))
    found = term_gradients(losses, weights)
    expected = torch.cat([weights[1].expand(2, 3).flatten(), weights[0].sum(0)])
    torch.testing.assert_close(found['both'], expected.detach())
    torch.testing.assert_close(found['one'], torch.cat([torch.zeros(6), 2 * weights[1].detach()]))
    assert found['none'].eq(0).all() and weights[0].grad is None
    losses['both'].backward()  # the graph is still there


@pytest.mark.parametrize('kind', ['MLDRKD', 'HCD', 'OFA', 'LogitDistiller'])
def test_cosines_are_those_of_the_gradients_and_the_loss_is_the_same(kind, batch):
    model = distiller(kind)
    losses = model.loss(*batch)
    total, plain = model.parse_losses(losses)
    model.watches_gradients = True
    watched_total, watched = model.parse_losses(losses)
    assert torch.equal(total, watched_total)
    added = watched.keys() - plain.keys()
    assert added == {'grad_cos_' + key[5:] for key in losses if key.startswith('loss_') and key != 'loss_ce'}
    total.backward(retain_graph=True)
    names = [key for key in losses if key.startswith('loss_')]
    whole = torch.cat([p.grad.flatten() for p in model.student.parameters()])
    parts = term_gradients({k: losses[k] for k in names}, list(model.student.parameters()))
    torch.testing.assert_close(sum(parts.values()), whole, atol=1e-5, rtol=1e-3)
    for key in added:
        term = parts['loss_' + key.removeprefix('grad_cos_')]
        expected = torch.dot(parts['loss_ce'], term) / parts['loss_ce'].norm() / term.norm()
        torch.testing.assert_close(watched[key], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize('interval, watched', [(0, []), (1, [0, 1, 2, 3]), (2, [1, 3])])
def test_gradients_are_watched_every_so_many_iterations(interval, watched):
    hook, model = GradientCosineHook(interval), distiller()
    seen = []
    for i in range(4):
        hook.before_train_iter(SimpleNamespace(model=model, iter=i), i)
        seen += [i] * model.watches_gradients
    assert seen == watched


def test_a_model_without_a_teacher_is_left_alone():
    model = MODELS.build(dict(type='NetClassifier', student=micro_net('cnn')))
    GradientCosineHook(1).before_train_iter(SimpleNamespace(model=model, iter=0), 0)
    hook = TeacherAgreementHook()
    hook.after_val_iter(SimpleNamespace(model=model), 0, None, [])
    metrics = {}
    hook.after_val_epoch(SimpleNamespace(model=model), metrics)
    assert metrics == {}


def test_msdfs_weights_and_hcds_similarity_are_logged_and_no_part_of_the_loss(batch):
    for kind, names in (
        ('MLDRKD', [f'msdf_weight_{i}' for i in (1, 2, 3, 4)]),
        ('HCD', ['sub_logit_similarity']),
    ):
        model = distiller(kind)
        losses = model.loss(*batch)
        assert not any(losses[name].requires_grad for name in names)
        total, logged = model.parse_losses(losses)
        torch.testing.assert_close(total, sum(x for key, x in losses.items() if key.startswith('loss')))
        assert logged.keys() >= set(names)
        if kind == 'MLDRKD':
            assert float(sum(losses[name] for name in names)) == pytest.approx(1)
        else:
            assert -1 <= float(losses['sub_logit_similarity']) <= 1


def test_a_statistic_is_not_weighted_by_the_teacher(batch):
    model = distiller()
    model.eval()
    once = model.loss(*batch)
    model.teachers[0].weight = 3.0
    thrice = model.loss(*batch)
    assert torch.equal(once['msdf_weight_1'], thrice['msdf_weight_1'])
    torch.testing.assert_close(thrice['loss_dfra_logit'], 3 * once['loss_dfra_logit'])


class Validation:
    """A validation as a runner does it, without one."""

    def __init__(self, model, inputs, samples):
        self.model, self.batches = model, [(inputs[:3], samples[:3]), (inputs[3:], samples[3:])]
        self.message_hub = MessageHub('validation')
        self.val_dataloader = SimpleNamespace(dataset=samples)

    def run(self, hook):
        metrics = {}
        hook.before_val_epoch(self)
        for i, (inputs, samples) in enumerate(self.batches):
            data = dict(inputs=inputs, data_samples=samples)
            outputs = self.model.predict(inputs, [x.clone() for x in samples])
            hook.after_val_iter(self, i, data, outputs)
        hook.after_val_epoch(self, metrics)
        return metrics


def test_agreement_and_kl_are_those_of_the_definition_and_the_teacher_runs_once(batch):
    inputs, samples = batch
    model = distiller('LogitDistiller').eval()
    validation, hook = Validation(model, inputs, samples), TeacherAgreementHook()
    metrics = validation.run(hook)
    student, teacher = model.student(inputs).logits, model.teacher(inputs).logits
    target = torch.cat([x.gt_label for x in samples])
    same = (student.argmax(1) == teacher.argmax(1)).float().mean()
    kl = (teacher.softmax(1) * (teacher.log_softmax(1) - student.log_softmax(1))).sum(1).mean()
    assert metrics['teacher/agreement'] == pytest.approx(100 * float(same))
    assert metrics['teacher/kl'] == pytest.approx(float(kl), rel=1e-2)
    assert metrics['teacher/top1'] == pytest.approx(100 * float((teacher.argmax(1) == target).float().mean()))
    assert validation.message_hub.get_scalar('val/teacher/kl').current() == metrics['teacher/kl']

    calls = []
    forward = model.teacher.net.forward
    model.teacher.net.forward = lambda *args, **kwargs: calls.append(1) or forward(*args, **kwargs)
    assert validation.run(hook) == metrics and not calls
    validation.batches.reverse()  # other images at the same place
    assert validation.run(hook) == pytest.approx(metrics) and len(calls) == 2


def test_a_student_equal_to_its_teacher_agrees_and_several_teachers_are_told_apart(batch):
    inputs, samples = batch
    teachers = [micro_net('vit', checkpoint='random'), micro_net('cnn', checkpoint='random')]
    model = MODELS.build(dict(type='LogitDistiller', teacher=teachers, student=micro_net('vit'))).eval()
    model.student.load_state_dict(model.teachers[0].net.state_dict())
    metrics = Validation(model, inputs, samples).run(TeacherAgreementHook())
    assert metrics['teacher/agreement'] == 100 and abs(metrics['teacher/kl']) < 1e-4
    assert metrics['teacher_2/kl'] > 1e-3


class Terminal(io.StringIO):
    def isatty(self):
        return True


def training(logger):
    loader = DataLoader(range(2))
    return SimpleNamespace(
        logger=logger,
        max_iters=6,
        max_epochs=3,
        iter=0,
        epoch=0,
        val_dataloader=loader,
        rank=0,
        train_loop=dict(by_epoch=True),
    )


@pytest.mark.parametrize('terminal', [True, False])
def test_a_bar_is_drawn_on_a_terminal_and_nowhere_else(terminal, monkeypatch):
    out = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, 'stdout', out)
    monkeypatch.setenv('TERM', 'xterm')
    logger = MMLogger('bar' + str(terminal))
    run, hook = training(logger), ProgressHook()
    hook.before_train(run)
    for run.iter in range(6):
        run.epoch = run.iter // 2
        hook.after_train_iter(run, run.iter)
    logger.warning('a log line')
    hook.before_val_epoch(run)
    hook.after_val_iter(run, 0)
    hook.after_val_epoch(run)
    hook.after_train(run)
    text = out.getvalue()
    assert 'a log line' in text
    assert ('epoch 3/3' in text and '6/6' in text and 'ETA' in text) == terminal
    assert terminal or text.count('\n') == 1
    assert sys.stdout is out and logger.handlers[0].stream is out
