"""``register_all_modules``, which mmengine and mim call by name."""

from importlib import import_module

from mmengine.registry import init_default_scope as set_scope


def register_all_modules(init_default_scope: bool = True) -> None:
    """Import all modules that register components; ``mmengine.hub.get_model('hetkd::...')`` calls this.

    Args:
        init_default_scope: whether to make hetkd the default scope as well.
    """
    for name in ('datasets', 'engine', 'evaluation', 'models', 'teacher_cache'):
        import_module(f'hetkd.{name}')
    if init_default_scope:
        set_scope('hetkd')


__all__ = ['register_all_modules']
