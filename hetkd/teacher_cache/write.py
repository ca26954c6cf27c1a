"""Writing a cache: the outputs of a run's teacher on its images, view by view."""

from copy import deepcopy

import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.registry import init_default_scope
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hetkd.clock import own_clock
from hetkd.datasets import check_net
from hetkd.datasets.transforms.seeded import unseeded
from hetkd.engine.batches import starting_at
from hetkd.engine.hooks.training_data import check_places
from hetkd.errors import UserError
from hetkd.models.distillers.configs import preprocessor_config, with_classes
from hetkd.registry import MODELS, RUNNERS
from hetkd.utils.spread import evenly_spread

from .cache import TeacherCache
from .cached_teacher import CachedTeacher
from .facts import check_draws, mixes, run_facts, teacher_config, validation_facts, weights_digest
from .replay import show_view

SAVE_EVERY = 50


def write_cache(
    cfg: Config,
    out: str,
    views: int,
    seed: int = 0,
    top_k: int = 0,
    embedding: bool = False,
    processes: int = 1,
) -> TeacherCache:
    """Run the teacher of a config over V views of its training images and, once, its validation images.

    An interrupted run continues where it was; a finished one does nothing.

    Args:
        cfg: config of a distillation run, its loaders completed (:func:`~hetkd.apis.cli.complete_loaders`).
        out: folder of the cache.
        views: V >= 1.
        seed: of the views.
        top_k: how many logits of a row to keep, the largest; 0 for all.
        embedding: whether to keep embeddings; they are where the method reads them.
        processes: number of processes that will train, where images are mixed.

    Raises:
        UserError: a method that reads stages, several teachers, a model without one, views that do not
            repeat, or a folder with a cache of something else.
    """
    init_default_scope(cfg.get('default_scope', 'hetkd'))
    if isinstance(cfg.model.get('teacher'), (list, tuple)) and len(cfg.model.teacher) == 1:
        cfg = deepcopy(cfg)
        cfg.model.teacher = cfg.model.teacher[0]
    model = _model(cfg)
    teacher = model.teachers[0]
    builder = RUNNERS.get(cfg.runner_type).build_dataloader
    images = deepcopy(cfg.train_dataloader)
    if not mixes(cfg):  # then each image stands for itself, in any batch
        images.drop_last, images.sampler = False, dict(type='DefaultSampler', shuffle=False)
        images.batch_sampler = None
    loader = builder(images, seed=seed)
    measures = cfg.get('val_dataloader') is not None and teacher.num_classes
    validation = builder(cfg.val_dataloader, seed=seed) if measures else None
    check_net(teacher, loader.dataset, 'train_dataloader', 'the teacher')
    check_draws(cfg, loader.dataset, processes)
    if validation is not None:
        way_out = 'set val_dataloader, val_cfg and val_evaluator to None to leave the validation images out'
        check_places(validation.dataset, way_out)
    facts = run_facts(cfg, loader.dataset, loader.batch_size, processes)
    header = dict(
        images=len(loader.dataset),
        classes=teacher.num_classes,
        views=views,
        seed=seed,
        top_k=top_k,
        embedding=embedding or 'embedding' in model.teacher_needs,
        embedding_channels=teacher.embedding_channels,
        validation=0 if validation is None else len(validation.dataset),
        teacher=dict(
            config=teacher_config(with_classes(cfg.model.teacher, model.data_preprocessor)),
            file_sha256=weights_digest(cfg.model.teacher),
            weights_sha256=teacher.digest(),
            description=teacher.describe(),
            classes=None if teacher.classes is None else list(map(str, teacher.classes)),
        ),
        validation_data=None if validation is None else validation_facts(cfg, validation.dataset),
        **facts,
    )
    _check(header)
    with own_clock():
        _check_views(loader, model.data_preprocessor, header)
        cache = TeacherCache.create(out, header)
        if not cache.is_whole:
            _fill(cache, model, loader, validation, processes)
            cache.finish()
    return cache


def _model(cfg: Config):
    config = dict(cfg.model)
    if isinstance(config.get('teacher'), dict):  # a cache that it names may be the one to write
        config['teacher'] = {key: x for key, x in config['teacher'].items() if key != 'cache'}
    model = MODELS.build(dict(config, data_preprocessor=preprocessor_config(cfg)))
    teachers = getattr(model, 'teachers', ())
    if len(teachers) != 1 or isinstance(teachers[0], CachedTeacher):
        raise UserError(
            'teacher cache',
            'a model with one teacher that is a net',
            f'{len(teachers)} teachers',
            'write one cache for each',
        )
    if not set(model.teacher_needs) <= {'logits', 'embedding'}:
        raise UserError(
            'teacher cache',
            'a method on logits or embeddings',
            f"{type(model).__name__}, which reads the teacher's maps",
            'they are too large to keep',
        )
    return model.to('cuda' if torch.cuda.is_available() else 'cpu').train()


def _check(header: dict) -> None:
    if header['views'] < 1 or not 0 <= header['top_k'] <= header['classes']:
        raise UserError(
            'teacher cache',
            f'views >= 1 and top_k from 0 to {header["classes"]}',
            f'{header["views"]} and {header["top_k"]}',
        )


def _check_views(loader, preprocessor, header: dict) -> None:
    """Look for random transforms, and at a few images several times: not every one says that it is random."""
    show_view(loader, preprocessor, header, 0)
    found = ', '.join(unseeded(loader.dataset))
    for i in evenly_spread(8, len(loader.dataset)):
        seen = [loader.dataset[i]['inputs'] for _ in range(4)]
        if not all(torch.equal(seen[0], x) for x in seen[1:]):
            found = found or 'an image that looks different each time'
    if found:
        raise UserError(
            'teacher cache',
            'views that repeat',
            found,
            'put all random transforms of the pipeline into RandomSeeded',
        )


def _fill(cache: TeacherCache, model, loader, validation, processes: int) -> None:
    teacher, header = model.teachers[0], cache.header
    ranks = range(processes if header['mixing'] else 1)
    total = header['views'] * len(ranks) * len(loader) + (0 if validation is None else len(validation))
    columns = [TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn(), TextColumn('ETA')]
    with Progress(*columns, TimeRemainingColumn()) as bar:
        task = bar.add_task('batches', total=total)
        if validation is not None:
            for batch in _batches(cache, 'validation', 0, validation, bar, task):
                data = model.data_preprocessor(batch, False)
                index = [x.sample_idx for x in data['data_samples']]
                cache.write('validation', index, teacher(data['inputs']).logits)
        for number in range(header['views']):
            view = f'view{number:03d}'
            for rank in ranks:
                if header['mixing']:
                    _act_as(loader.sampler, rank, processes)
                show_view(loader, model.data_preprocessor, header, number)
                for batch in _batches(cache, view, rank, loader, bar, task):
                    data = model.data_preprocessor(batch, True)
                    index = [x.sample_idx for x in data['data_samples']]
                    output = teacher(data['inputs'], embedding=header['embedding'])
                    cache.write(view, index, output.logits, output.embedding)


def _batches(cache: TeacherCache, view: str, rank: int, loader, bar, task):
    """Batches that are not written yet; notes the images that are: other batches may continue."""
    length, size = len(loader), loader.batch_size
    done = max(cache.progress(view) - rank * length * size, 0)
    first = length if done >= len(loader.sampler) else min(done // size, length)
    bar.advance(task, first)
    if first == length:
        return
    with starting_at(loader, first):
        for count, batch in enumerate(loader, first + 1):
            yield batch
            bar.advance(task)
            if count % SAVE_EVERY == 0 or count == length:
                cache.save_progress(view, (rank * length + count) * size)


def _act_as(sampler: DefaultSampler, rank: int, processes: int) -> None:
    """Give the images of one process among several."""
    sampler.rank, sampler.world_size = rank, processes
    sampler.num_samples = -(-len(sampler.dataset) // processes)
    sampler.total_size = sampler.num_samples * processes
