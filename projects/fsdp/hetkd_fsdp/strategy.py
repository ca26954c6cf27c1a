"""FSDP: parameters, gradients and optimizer state split over the processes."""

from typing import Optional, Sequence

import torch
from mmengine._strategy import DDPStrategy, FSDPStrategy
from mmengine.device import get_device
from mmengine.dist import get_world_size, is_main_process
from mmengine.registry import STRATEGIES
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map_only

from hetkd.engine.gloo import start_gloo
from hetkd.errors import UserError


@STRATEGIES.register_module()
class FullyShardStrategy(FSDPStrategy):
    """mmengine's ``FSDPStrategy`` over torch's ``fully_shard`` in place of ``FullyShardedDataParallel``.

    The older class cuts parameters into flat pieces. The optimizer then sees matrices as vectors, so
    ``flat_decay_mult=0`` takes the weight decay off all of them, and ``clip_grad`` clips in each process by
    the norm of its own pieces. Here parameters keep name and shape, and norms are those of the whole.

    A checkpoint is the file that DDP writes: it can be exported, and resumed by DDP or by another number of
    processes. The teachers are no child modules, so they stay whole in each process.

    Args:
        blocks: class names of the modules that are gathered one at a time, when they run, e.g.
            ``['Block']``. The rest of the model is gathered as one. By default that is all of it: then only
            what stays between two steps gets smaller, not the parameters in use.
        sync_bn: as in mmengine's ``DDPStrategy``.
        kwargs: what the runner passes on.

    Raises:
        UserError: a class name that no module has, or a run without a launcher.
    """

    def __init__(self, *, blocks: Sequence[str] = (), sync_bn: Optional[str] = None, **kwargs):
        unused = {'model_wrapper', 'activation_checkpointing', 'state_dict_cfg'} & set(kwargs)
        if unused:
            raise UserError(
                'strategy',
                'blocks and sync_bn',
                f'{sorted(unused)}, which belong to FSDPStrategy',
                'leave them out',
            )
        super().__init__(state_dict_cfg='full', sync_bn=sync_bn, **kwargs)
        self.blocks = [blocks] if isinstance(blocks, str) else list(blocks)
        if not self.distributed:
            raise UserError(
                'strategy',
                'several processes to share the parameters',
                'no launcher',
                'use tools/dist_train.sh or tools/slurm_train.sh',
            )

    def _setup_env(self, *, matmul_precision: str = 'highest', **kwargs) -> None:
        torch.set_float32_matmul_precision(matmul_precision)
        super()._setup_env(**kwargs)

    def _setup_distributed(self, launcher: str = 'pytorch', backend: str = 'nccl', **kwargs):
        if torch.cuda.is_available():
            super()._setup_distributed(launcher, backend, **kwargs)
        else:
            start_gloo(launcher)

    def _wrap_model(self, model: nn.Module) -> nn.Module:
        model = self.convert_model(model)
        mesh = init_device_mesh(get_device(), (get_world_size(),))
        for block in reversed(self._find_blocks(model)):  # inner ones first
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        return model.to(get_device())  # buffers and teachers; the shards are there

    def _find_blocks(self, model: nn.Module) -> list[nn.Module]:
        kinds = {type(module).__name__ for module in model.modules()}
        if not kinds.issuperset(self.blocks):
            raise UserError(
                'strategy',
                f'blocks to name classes of the modules {sorted(kinds)}',
                self.blocks,
                'set strategy.blocks',
            )
        return [module for module in model.modules() if type(module).__name__ in self.blocks]

    def build_optim_wrapper(self, optim_wrapper, model: Optional[nn.Module] = None):
        """As without sharding: parameters are still parameters."""
        # super(DDPStrategy, self), here and below, passes over what FSDPStrategy does for flat pieces.
        return super(DDPStrategy, self).build_optim_wrapper(optim_wrapper, model)

    def model_state_dict(self) -> dict:
        """The whole model's, in the first process; all must call it."""
        return _gather(self.model.state_dict())

    def optim_state_dict(self) -> dict:
        """The whole optimizer's, in the first process; all must call it."""
        return _gather(self.optim_wrapper.state_dict())

    def load_model_state_dict(self, state_dict: dict, **kwargs) -> None:
        """Take this process's pieces of a whole model's state, strictly: mmengine would resume without."""
        own = self.model.state_dict()
        pieces = {name: _piece(value, own.get(name)) for name, value in state_dict.items()}
        super(DDPStrategy, self).load_model_state_dict(pieces, **{**kwargs, 'strict': True})

    def load_optim_state_dict(self, state_dict: dict) -> None:
        """Take this process's pieces of a whole optimizer's state."""
        parameters = [p for group in self.optim_wrapper.param_groups for p in group['params']]
        state = {
            index: {name: _piece(value, parameters[index]) for name, value in values.items()}
            for index, values in state_dict['state'].items()
        }
        super(DDPStrategy, self).load_optim_state_dict({**state_dict, 'state': state})


def _gather(state: dict) -> dict:
    """Whole tensors in main memory, in the first process alone; a joint act of all."""
    first = is_main_process()

    def whole(value):
        value = value.full_tensor() if isinstance(value, DTensor) else value
        return value.cpu() if first else None

    state = tree_map_only(torch.Tensor, whole, state)
    return state if first else {}


def _piece(value, like):
    """This process's part of a whole tensor, where ``like`` is split; anything else stays as it is."""
    if not isinstance(like, DTensor) or getattr(value, 'shape', None) != like.shape:
        return value
    value = value.to(like.device)
    return distribute_tensor(value, like.device_mesh, like.placements, src_data_rank=None)
