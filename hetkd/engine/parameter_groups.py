"""The optimizer's groups: parameters with the same options share one."""

from mmengine.optim import DefaultOptimWrapperConstructor as OneGroupEach

from hetkd.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class DefaultOptimWrapperConstructor(OneGroupEach):
    """mmengine's, which makes a group of each parameter where there is a ``paramwise_cfg``, with few groups.

    An optimizer launches its kernels group by group, and a schedule sets the rate of each. Parameters whose
    options are equal are in one group, in the order of the first of each; the updates are the same.

    Args:
        optim_wrapper_cfg: see mmengine's.
        paramwise_cfg: see mmengine's.
    """

    def add_params(self, params, module, prefix='', is_dcn_module=None):
        """Mmengine's; the whole model's groups are joined at the end.

        A parameter that is there twice stays in two groups, which the optimizer refuses.
        """
        super().add_params(params, module, prefix, is_dcn_module)
        seen = [id(x) for group in params for x in group['params']]
        if not prefix and len(seen) == len(set(seen)):
            params[:] = joined(params)


def joined(groups: list[dict]) -> list[dict]:
    """Groups of parameters with those of equal options in one."""
    found = []
    for group in groups:
        options = {key: x for key, x in group.items() if key != 'params'}
        for other, same in found:
            if other == options:
                same['params'] += group['params']
                break
        else:
            found.append((options, dict(group, params=list(group['params']))))
    return [group for _, group in found]
