"""Any timm model as a teacher or student."""

from functools import cached_property
from typing import Optional, Sequence, Union

import timm
import torch

from hetkd.registry import MODELS

from .base import Net, to_size, unknown_model
from .contract import NetOutput, select_stages


@MODELS.register_module()
class TimmNet(Net):
    """A timm model by name.

    Args:
        model: name in timm, e.g. ``'deit_tiny_patch16_224'``, also with a tag (``'.fb_in1k'``).
        num_classes: number of classes.
        pretrained: whether to load timm's weights for the name (downloads them).
        checkpoint: path or URL of a weight file of exactly this net; ``'random'`` for meant randomness.
        input_size: image size, an int or (height, width). Default: the model's own where its weights are
            tied to one or ``pretrained``, else any size.
        stage_indices: which of the model's ``forward_intermediates`` are the stages. Default: see
            :func:`~hetkd.models.nets.select_stages`.
        mean, std: per RGB channel on the 0-255 scale, of the images the net was trained on. Default: what
            timm declares where ``pretrained``, else the data's.
        model_kwargs: further arguments of ``timm.create_model``, e.g. ``dict(patch_size=4)``.

    Raises:
        ValueError: timm has no such model; the message lists the nearest names.
    """

    def __init__(
        self,
        model: str,
        num_classes: int,
        pretrained: bool = False,
        checkpoint: Optional[str] = None,
        input_size: Union[int, Sequence[int], None] = None,
        stage_indices: Optional[Sequence[int]] = None,
        mean: Optional[Sequence[float]] = None,
        std: Optional[Sequence[float]] = None,
        model_kwargs: Optional[dict] = None,
    ):
        size = to_size(input_size or (model_kwargs or {}).get('img_size'))
        overlay = {'input_size': (3, *size)} if size else None
        if not timm.is_model(model):
            raise unknown_model('a timm model', model, timm.list_models())
        net = timm.create_model(
            model,
            pretrained=pretrained,
            num_classes=num_classes,
            pretrained_cfg_overlay=overlay,
            **(model_kwargs or {}),
        )
        declared = net.pretrained_cfg or {}
        if pretrained and mean is None:
            mean = [255 * x for x in declared['mean']]
            std = [255 * x for x in declared['std']]
        if size is None and (pretrained or declared.get('fixed_input_size')):
            size = to_size(declared['input_size'][-2:])
        super().__init__(
            net,
            num_classes,
            has_weights=pretrained,
            checkpoint=checkpoint,
            mean=mean,
            std=std,
            input_size=size,
        )
        self._given_indices = stage_indices
        self._name = model

    def forward(self, inputs: torch.Tensor, stages: bool = False, embedding: bool = False) -> NetOutput:
        """See :class:`Net`."""
        maps = ()
        if stages:
            indices, final_is_last = self._taps
            final, maps = self._intermediates(inputs, list(indices))
            if final_is_last:
                maps[-1] = final
        else:
            final = self.model.forward_features(inputs)
        if not embedding:
            return NetOutput(self.model.forward_head(final), tuple(maps))
        before = self.model.forward_head(final, pre_logits=True)
        last = self._last_layer
        return NetOutput(
            self.model.forward_head(final) if last is None else last(before), tuple(maps), before
        )

    @cached_property
    def _last_layer(self) -> Optional[torch.nn.Module]:
        """The layer that makes logits of the embedding, if it is one; so the head runs once, not twice."""

        def fits(image):
            final = self.model.forward_features(image)
            before, logits = self.model.forward_head(final, pre_logits=True), self.model.forward_head(final)
            try:
                return last(before).equal(logits)
            except (RuntimeError, IndexError, NotImplementedError):  # a 1x1 convolution, a whole head, a list
                return False

        last = self.model.get_classifier()
        return last if isinstance(last, torch.nn.Module) and self.probe(fits) else None

    def _intermediates(self, inputs, indices=None):
        return self.model.forward_intermediates(inputs, indices=indices, output_fmt='NCHW')

    @cached_property
    def _taps(self) -> tuple[tuple[int, ...], bool]:
        """Stage indices, and whether the head's own map is the last stage.

        MobileNetV2 and its kin widen the last map by a convolution before pooling; that wide map is
        what the head sees, and so the last stage.
        """
        if not hasattr(self.model, 'forward_intermediates'):
            raise ValueError(
                f'{self._name}: expected a model that gives stages, got one without '
                f'forward_intermediates; use a method that needs logits only, or another model'
            )
        final, maps = self.probe(self._intermediates)
        indices = tuple(self._given_indices or select_stages([x.shape for x in maps], self.probe_size))
        own_map = torch.is_tensor(final) and final.dim() == 4
        deepest = indices[-1] % len(maps) == len(maps) - 1
        width = self.model.num_features
        return indices, own_map and deepest and final.shape[1] == width != maps[-1].shape[1]
