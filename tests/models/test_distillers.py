"""Algorithms: what they sum, and that any family teaches any other."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from mmengine.optim import build_optim_wrapper
from mmpretrain.structures import DataSample

from hetkd.clock import set_clock
from hetkd.errors import UserError
from hetkd.functional import dfra_loss, kd_loss, ofa_loss
from hetkd.registry import MODELS
from hetkd.testing import MICRO_FAMILIES, micro_net

ALGORITHMS = {
    'mldrkd': dict(type='MLDRKD'),
    'hcd': dict(type='HCD'),
    'kd': dict(type='LogitDistiller', losses=[dict(type='KDLoss')]),
    'lskd': dict(
        type='LogitDistiller', losses=[dict(type='KDLoss', standardise=True, loss_weight=9.0)], ce_weight=0.1
    ),
    'ofa': dict(type='OFA'),
    'dkd': dict(type='LogitDistiller', losses=[dict(type='DKDLoss')]),
    'dist': dict(type='LogitDistiller', losses=[dict(type='DISTLoss')]),
    'rld': dict(type='LogitDistiller', losses=[dict(type='RLDLoss')]),
    'rkd': dict(type='FeatureDistiller', losses=[dict(type='RKDLoss')]),
    'cc': dict(type='FeatureDistiller', losses=[dict(type='CCLoss')]),
    'at': dict(type='FeatureDistiller', losses=[dict(type='ATLoss')]),
    'fitnet': dict(type='FeatureDistiller', losses=[dict(type='HintLoss')]),
    'cat': dict(type='FeatureDistiller', losses=[dict(type='CATLoss')]),
    'vkd': dict(
        type='FeatureDistiller',
        losses=[dict(type='VkDLoss')],
        logit_losses=[dict(type='KDLoss', temperature=1.0)],
        embedding_matcher=dict(type='OrthogonalProjector'),
    ),
    'rsd': dict(type='FeatureDistiller', losses=[dict(type='RSDLoss')], embedding_matcher=dict(type='AAD')),
    'rsd-logits': dict(type='LogitDistiller', losses=[dict(type='RSDLogitLoss')]),
    'crd': dict(
        type='FeatureDistiller',
        losses=[dict(type='CRDLoss', num_negatives=6)],
        embedding_matcher=dict(type='ContrastHead'),
    ),
}


def build(algorithm, teacher='vit', student='cnn', **options):
    model = MODELS.build(
        dict(
            **{**ALGORITHMS.get(algorithm, {}), **options},
            teacher=micro_net(teacher, checkpoint='random'),
            student=micro_net(student),
        )
    )
    if algorithm == 'crd':
        model.losses['loss_crd'].prepare_data(torch.arange(8) % 3)
    return model


@pytest.mark.parametrize('algorithm', ALGORITHMS)
@pytest.mark.parametrize('teacher, student', itertools.product(MICRO_FAMILIES, MICRO_FAMILIES))
def test_every_method_trains_every_pair(algorithm, teacher, student, batch):
    model = build(algorithm, teacher, student).train()
    if algorithm == 'cat' and 'vmamba' in (teacher, student):
        with pytest.raises(UserError, match='CAT: expected class maps of at least 2 x 2 cells, got.*1 x 1'):
            model.loss(*batch)
        return  # at 64 px in test_class_maps.py
    wrapper = build_optim_wrapper(model, dict(optimizer=dict(type='SGD', lr=0.01)))
    data = dict(inputs=batch[0], data_samples=batch[1])
    logged = model.train_step(data, wrapper)
    assert all(value.isfinite() for value in logged.values())
    assert logged['loss'].item() == pytest.approx(
        sum(v.item() for k, v in logged.items() if k.startswith('loss_')), rel=1e-5
    )
    model.parse_losses(model.loss(*batch))[0].backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    'algorithm, part, default, change',
    [
        ('mldrkd', 'dfra', dict(type='DFRALoss'), dict(temperature=2.0)),
        ('mldrkd', 'fusion', dict(type='MSDF'), dict(hidden_ratio=2)),
        ('mldrkd', 'projector', dict(type='StageProjector'), dict(out_channels=24)),
        ('hcd', 'kd', dict(type='KDLoss', temperature=1.0), dict(loss_weight=2.0)),
        ('hcd', 'mapper', dict(type='CFM'), dict(num_sub_logits=2)),
        ('hcd', 'sub_logit', dict(type='SubLogitLoss'), dict(kl_weight=2.0)),
        ('hcd', 'orthogonality', dict(type='OrthogonalityLoss'), dict(loss_weight=2.0)),
        ('hcd', 'projector', dict(type='StageProjector', final_bias=True), dict(out_channels=24)),
        ('ofa', 'ofa', dict(type='OFALoss'), dict(eps=1.5)),
        ('ofa', 'projector', dict(type='StageProjector'), dict(out_channels=24)),
        ('kd', 'label_loss', dict(type='LabelLoss', label_smoothing=0.1), dict(label_smoothing=0.3)),
    ],
)
def test_a_part_without_a_type_changes_keys_of_the_default(algorithm, part, default, change, batch):
    def losses(config):
        torch.manual_seed(0)
        model = build(algorithm, **{part: config}).eval()
        return {key: value.item() for key, value in model.loss(*batch).items()}, str(model)

    assert losses(change) == losses({**default, **change}) != losses(None) == losses(default)


def test_a_part_with_a_type_is_complete():
    assert [build('hcd', kd=x).kd.options['temperature'] for x in (None, dict(type='KDLoss'))] == [1, 4]


def test_mldrkd_is_the_sum_of_its_equation(batch):
    model = build('mldrkd').eval()
    for parameter in model.fusion.parameters():
        torch.nn.init.normal_(parameter)  # at its own initial values all stages look alike
    inputs, samples = batch
    losses = model.loss(inputs, samples)
    target = torch.tensor([3, 1, 4, 1])
    student = model.student(inputs, stages=True)
    teacher = model.teacher(inputs).logits
    fusion = model.fusion(model.projector(student.stages))
    stages = sum(dfra_loss(x, teacher).total for x in fusion.stage_logits)
    expected = dict(
        loss_ce=F.cross_entropy(student.logits, target, label_smoothing=0.1),
        loss_dfra_logit=dfra_loss(student.logits, teacher).total,
        loss_dfra_fused=dfra_loss(fusion.fused, teacher).total,
        loss_dfra_stage=stages,
        **{f'msdf_weight_{i}': x.mean() for i, x in enumerate(fusion.weights, 1)},
    )
    assert losses.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(losses[key], value, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    'option, key',
    [
        ('ce_weight', 'loss_ce'),
        ('logit_weight', 'loss_dfra_logit'),
        ('stage_weight', 'loss_dfra_stage'),
        ('fused_weight', 'loss_dfra_fused'),
    ],
)
def test_each_weight_of_mldrkd_scales_its_term_only(option, key, batch):
    plain = build('mldrkd').eval()
    scaled = build('mldrkd', **{option: 3.0}).eval()
    scaled.load_state_dict(plain.state_dict())
    scaled.teacher.net.load_state_dict(plain.teacher.net.state_dict())
    before, after = plain.loss(*batch), scaled.loss(*batch)
    for name, value in before.items():
        torch.testing.assert_close(after[name], 3 * value if name == key else value)


def test_mldrkds_parts_take_options(batch):
    model = build(
        'mldrkd',
        dfra=dict(type='DFRALoss', temperature=4.0, alpha=1.0),
        fusion=dict(type='MSDF', hidden_ratio=2),
        label_loss=dict(type='CrossEntropyLoss'),
    ).eval()
    losses = model.loss(*batch)
    logits, teacher = model.student(batch[0]).logits, model.teacher(batch[0]).logits
    torch.testing.assert_close(losses['loss_dfra_logit'], dfra_loss(logits, teacher, 4.0, 1.0).total)
    torch.testing.assert_close(losses['loss_ce'], F.cross_entropy(logits, torch.tensor([3, 1, 4, 1])))
    assert model.fusion.gate[0].out_features == 20


def test_the_width_is_the_larger_of_last_stage_and_teacher_embedding():
    assert build('mldrkd', 'vit', 'cnn').projector.out_channels == 32
    assert build('mldrkd', 'swin', 'vit').projector.out_channels == 64


@pytest.mark.parametrize('weight', ['logit_weight', 'stage_weight', 'fused_weight'])
def test_each_term_reaches_the_students_first_layer(weight, batch):
    """Nothing on the student's side is detached."""
    off = dict(ce_weight=0.0, logit_weight=0.0, stage_weight=0.0, fused_weight=0.0)
    model = build('mldrkd', **{**off, weight: 1.0}).train()
    sum(model.loss(*batch).values()).backward()
    assert next(model.student.parameters()).grad.abs().sum() > 0


def test_only_the_students_own_logits_get_the_label_loss(batch):
    model = build('mldrkd', logit_weight=0.0, stage_weight=0.0, fused_weight=0.0).train()
    sum(model.loss(*batch).values()).backward()
    assert all(not p.grad.any() for p in model.fusion.parameters())


def test_ofa_is_the_sum_of_its_equation(batch):
    model = build('ofa', logit_weight=2.0, stage_weight=0.5, ofa=dict(type='OFALoss', eps=1.5)).eval()
    losses = model.loss(*batch)
    target = torch.tensor([3, 1, 4, 1])
    student = model.student(batch[0], stages=True)
    teacher = model.teacher(batch[0]).logits
    stages = model.heads(model.projector(student.stages))
    assert len(stages) == 4
    torch.testing.assert_close(losses['loss_ofa_logit'], 2 * ofa_loss(student.logits, teacher, target, 1.5))
    expected = 0.5 * sum(ofa_loss(x, teacher, target, 1.5) for x in stages)
    torch.testing.assert_close(losses['loss_ofa_stage'], expected)


def test_logit_losses_add_up_and_are_named(batch):
    model = build(
        'kd', losses=[dict(type='KDLoss'), dict(type='KDLoss', temperature=1.0), dict(type='DFRALoss')]
    ).eval()
    losses = model.loss(*batch)
    assert list(losses) == ['loss_ce', 'loss_kd', 'loss_kd_2', 'loss_dfra']
    logits, teacher = model.student(batch[0]).logits, model.teacher(batch[0]).logits
    torch.testing.assert_close(losses['loss_kd'], kd_loss(logits, teacher, 4.0))
    torch.testing.assert_close(losses['loss_kd_2'], kd_loss(logits, teacher, 1.0))


def test_feature_distiller_takes_logit_losses_and_a_matcher(batch):
    model = build('fitnet', logit_losses=[dict(type='KDLoss')], matcher=dict(type='StageMatcher'))
    assert {'loss_hint', 'loss_kd'} < model.loss(*batch).keys()


def test_stages_match_at_any_image_size():
    """A CNN teacher without a size of its own takes the data's, which the probe did not see."""
    teacher = dict(type='TimmNet', model='resnet10t', num_classes=10, checkpoint='random')
    model = MODELS.build(dict(ALGORITHMS['fitnet'], teacher=teacher, student=micro_net('cnn')))
    losses = model.loss(torch.randn(2, 3, 48, 48), [DataSample().set_gt_label(i) for i in (0, 1)])
    assert losses['loss_hint'].isfinite()


def test_stages_are_paired_from_the_deepest():
    teacher = micro_net('cnn', checkpoint='random', stage_indices=(2, 3))
    model = MODELS.build(dict(ALGORITHMS['fitnet'], teacher=teacher, student=micro_net('swin')))
    assert [(x.in_channels, x.out_channels) for x in model.matcher.convs] == [(32, 16), (64, 32)]


def test_feature_distiller_matches_the_stages_it_is_told(batch):
    model = build('fitnet', stages=(-1,)).train()
    assert len(model.matcher.convs) == 1
    loss = model.loss(*batch)['loss_hint']
    student, teacher = model.student(batch[0], stages=True), model.teacher(batch[0], stages=True)
    (matched,) = model.matcher(student.stages[-1:], teacher.stages[-1:])
    torch.testing.assert_close(loss, F.mse_loss(matched, teacher.stages[-1]))
    with pytest.raises(UserError, match='stages: expected indices of 4 stage pairs'):
        build('fitnet', stages=(4,))


@pytest.mark.parametrize('algorithm', ALGORITHMS)
@pytest.mark.parametrize('augment', ['Mixup', 'CutMix'])
def test_mixed_labels_reach_every_method_and_the_teacher_sees_the_mixed_images(augment, algorithm, batch):
    model = build(
        algorithm,
        train_cfg=dict(augments=[dict(type=augment, alpha=1.0)]),
        data_preprocessor=dict(num_classes=10),
    ).train()
    set_clock(0, 1)  # by chance a mix may be none
    data = model.data_preprocessor(dict(inputs=batch[0].clone(), data_samples=batch[1]), training=True)
    assert not torch.equal(data['inputs'], batch[0])
    seen = []
    prepare = model.teacher.prepare
    model.teacher.prepare = lambda x: seen.append(x) or prepare(x)
    losses = model.loss(data['inputs'], data['data_samples'])
    assert seen[0] is data['inputs']
    assert all(x.isfinite() for x in losses.values())


def test_losses_are_float32_under_autocast(batch):
    model = build('mldrkd').train()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        losses = model.loss(*batch)
    assert {x.dtype for x in losses.values()} == {torch.float32}
    assert all(x.isfinite() for x in losses.values())


SINGLE = ('hcd', 'at', 'fitnet', 'rsd', 'crd', 'vkd')
SEVERAL = {name: config for name, config in ALGORITHMS.items() if name not in SINGLE}


@pytest.mark.parametrize('algorithm', SEVERAL)
def test_several_teachers_give_the_weighted_sum_of_each_ones_losses(algorithm, batch):
    nets = [micro_net(x, checkpoint='random', weight=w) for x, w in (('vit', 0.3), ('swin', 2.0))]
    both = MODELS.build(dict(SEVERAL[algorithm], teacher=nets, student=micro_net('cnn'))).eval()
    together = both.loss(*batch)
    teachers, alone = both.teachers, []
    for teacher in teachers:
        both.teachers = [teacher]
        alone.append(both.loss(*batch))
    assert together.keys() == alone[0].keys()
    torch.testing.assert_close(together['loss_ce'], alone[0]['loss_ce'])
    for key in together.keys() - {'loss_ce'}:
        total = alone[0][key] + alone[1][key] if key.startswith('loss_') else alone[0][key]
        torch.testing.assert_close(together[key], total)
    if algorithm == 'mldrkd':
        assert both.projector.out_channels == 64, 'the widest embedding of all teachers'


@pytest.mark.parametrize('algorithm', SINGLE)
def test_methods_with_connectors_for_one_teacher_refuse_several(algorithm):
    nets = [micro_net(x, checkpoint='random') for x in ('vit', 'swin')]
    with pytest.raises(UserError, match='expected one teacher.*got 2'):
        MODELS.build(dict(ALGORITHMS[algorithm], teacher=nets, student=micro_net('cnn')))


def test_modes_give_logits_samples_and_losses(batch):
    model = build('kd').eval()
    inputs, samples = batch
    logits = model(inputs)
    assert logits.shape == (4, 10)
    predicted = model(inputs, samples, mode='predict')
    assert [int(x.pred_label) for x in predicted] == logits.argmax(1).tolist()
    torch.testing.assert_close(torch.stack([x.pred_score for x in predicted]), logits.softmax(1))
    assert model(inputs, samples, mode='loss').keys() == {'loss_ce', 'loss_kd'}
    with pytest.raises(UserError, match='mode: expected'):
        model(inputs, mode='other')


@pytest.mark.parametrize('option', [dict(stages=[0]), dict(matcher=dict(type='StageMatcher'))], ids=str)
def test_a_connector_of_stages_that_no_loss_reads_is_refused(option):
    with pytest.raises(UserError, match=f'{next(iter(option))}: expected a loss that reads stages'):
        build('rkd', **option)


@pytest.mark.parametrize('name', ['kd_loss', 'teacher_loss', 'lossy'])
def test_a_term_that_mmengine_takes_for_a_loss_and_we_do_not_is_refused(name, batch, monkeypatch):
    model = build('kd')
    monkeypatch.setattr(type(model), 'distill', lambda self, student, *_: {name: student.logits.mean()})
    with pytest.raises(UserError, match=f"LogitDistiller.distill: expected losses as loss_NAME.*'{name}'"):
        model.loss(*batch)


@pytest.mark.parametrize('key', ['mean', 'std'])
def test_a_student_has_no_normalisation_of_its_own(key):
    own = dict(mean=[2.0] * 3, std=[2.0] * 3) | {key: [1.0] * 3}
    student = dict(micro_net('cnn'), **own)
    plain = dict(type='LogitDistiller', teacher=micro_net('vit', checkpoint='random'), student=student)
    for preprocessor in (None, dict(mean=[2.0] * 3, std=[2.0] * 3)):
        with pytest.raises(
            UserError, match=r'student.(mean|std): expected none, or that of the data preproc'
        ):
            MODELS.build(dict(plain, data_preprocessor=preprocessor))
    imagenet = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])  # no number of float32
    for same in (own, imagenet):
        model = MODELS.build(dict(plain, student=dict(student, **same), data_preprocessor=same))
        assert model.student.num_classes == 10


@pytest.mark.parametrize('kind', ['LogitDistiller', 'MLDRKD', 'OFA'])
@pytest.mark.parametrize('teacher', [[], None, [None]])
def test_no_teacher_is_refused(teacher, kind):
    losses = dict(losses=[dict(type='KDLoss')]) if kind == 'LogitDistiller' else {}
    with pytest.raises(UserError, match='teacher: expected a teacher, got .*take --method scratch'):
        MODELS.build(dict(type=kind, teacher=teacher, student=micro_net('cnn'), **losses))


@pytest.mark.parametrize('place', ['data_preprocessor', 'train_cfg'])
def test_an_empty_list_of_augmentations_is_refused(place):
    empty = dict(augments=[])
    more = (
        dict(train_cfg=empty) if place == 'train_cfg' else dict(data_preprocessor=dict(batch_augments=empty))
    )
    with pytest.raises(UserError, match='batch augmentations: expected some of them .*for none:'):
        MODELS.build(dict(type='NetClassifier', student=micro_net('cnn'), **more))


def test_a_cache_within_a_frozen_teacher_is_refused():
    net = dict(micro_net('vit', checkpoint='random'), cache='caches/x')
    with pytest.raises(UserError, match='teacher.net.cache: expected a teacher that runs'):
        teacher = dict(type='FrozenTeacher', net=net)
        MODELS.build(dict(ALGORITHMS['kd'], teacher=teacher, student=micro_net('cnn')))


@pytest.mark.parametrize('stages', [(), (5,)])
def test_a_choice_of_no_stages_is_refused(stages):
    with pytest.raises(UserError, match='stages: expected indices of . stage pairs'):
        build('fitnet', stages=stages)


class Comma(torch.nn.Module):
    """Names what it reads wrongly."""


@pytest.mark.parametrize('needs', ['embedding', ('stage',)])
def test_a_loss_names_what_it_reads(needs, monkeypatch):
    monkeypatch.setitem(MODELS.module_dict, 'CommaLoss', type('CommaLoss', (Comma,), dict(needs=needs)))
    with pytest.raises(UserError, match='CommaLoss.needs: expected a tuple of some of .*got .*emb|stage'):
        build('rkd', losses=[dict(type='CommaLoss')])


def test_a_feature_loss_is_none_on_logits():
    with pytest.raises(UserError, match='expected losses on logits, got RKDLoss, which reads embedding'):
        build('kd', losses=[dict(type='RKDLoss')])


@pytest.mark.parametrize(
    'losses, words',
    [
        (dict(losses=[dict(type='KDLoss')]), 'losses that name what they read in needs, got KDLoss'),
        (dict(logit_losses=[dict(type='ATLoss')]), 'logit_losses: expected losses on logits, got ATLoss'),
    ],
)
def test_a_loss_in_the_place_of_the_other_kind_is_refused(losses, words):
    with pytest.raises(UserError, match=words):
        build('rkd', **losses)


@pytest.mark.parametrize('name', ['mmpretrain.CrossEntropyLoss', 'mmpretrain.LabelSmoothLoss', 'LabelLoss'])
def test_a_loss_that_would_take_the_teacher_for_labels_is_refused(name):
    words = r'losses: expected losses that are called as loss\(student_logits, teacher_logits, target\), got'
    options = dict(label_smooth_val=0.1) if 'Smooth' in name else {}
    for method, key in (('kd', 'losses'), ('rkd', 'logit_losses')):
        with pytest.raises(UserError, match=words):
            build(method, **{key: [dict(type=name, **options)]})


class Forgetful(torch.nn.Module):
    """Reads places and does not take them."""

    needs = ('index',)

    def forward(self, student, teacher, target):
        """Never called."""


def test_a_loss_that_reads_places_takes_them(monkeypatch):
    monkeypatch.setitem(MODELS.module_dict, 'Forgetful', Forgetful)
    with pytest.raises(UserError, match=r'called as loss\(student, teacher, target, index=\), got Forgetful'):
        build('rkd', losses=[dict(type='Forgetful')])


def test_a_batch_of_one_is_refused():
    model = build('mldrkd').eval()
    with pytest.raises(UserError, match='expected at least 2 samples in a batch.*drop_last=True'):
        model.loss(torch.randn(1, 3, 32, 32), [DataSample().set_gt_label(0)])


@pytest.mark.parametrize('temperature', [0, -1.0])
def test_a_temperature_of_zero_is_refused_when_built(temperature):
    with pytest.raises(UserError, match='temperature: expected a (finite )?number'):
        build('mldrkd', dfra=dict(type='DFRALoss', temperature=temperature))
