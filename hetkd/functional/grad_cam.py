"""Grad-CAM, a heat map of the image regions behind a class score."""

import torch
from torch.autograd.graph import GradientEdge


def grad_cam(stage: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
    r"""Grad-CAM of a stage map (Selvaraju et al., ICCV 2017, arXiv 1610.02391, equations 1 and 2).

    .. math:: \mathrm{ReLU}\left(\sum_k \alpha_k A_k\right), \qquad
        \alpha_k = \mathrm{mean}_{hw}\ \partial\, \mathrm{score} / \partial A_{khw}

    A token net's map is a slice of its tokens, and the net continues with the tokens. So the map is not part
    of the score's graph; see :func:`stage_gradient`.

    Args:
        stage: (N, K, H, W), with a graph.
        score: (N,), the logits of the classes to explain, with a graph.

    Returns:
        (N, H, W), scaled to a largest value of 1 in each image; all 0 where the score does not depend on the
        map, as on a ViT's last patch tokens beside its class token, or only negatively.
    """
    weights = stage_gradient(stage, score).mean((2, 3), keepdim=True)
    cam = (weights * stage.detach()).sum(1).relu()
    return cam / cam.amax((1, 2), keepdim=True).clamp_min(torch.finfo(cam.dtype).tiny)


def stage_gradient(stage: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
    """Gradient (N, K, H, W) of the scores' sum with respect to the stage or the tokens behind it.

    It is taken at the map's nearest ancestor in the graph that the score depends on: the map itself, or the
    tokens of which it is a slice and a reshape. The tokens' gradient is then sliced and reshaped in the same
    way, by a Jacobian-vector product (obtained by differentiating the backward pass, which is linear).
    """
    source = _source(stage, score)
    if source is None:
        return torch.zeros_like(stage)
    (gradient,) = torch.autograd.grad(score.sum(), [source], retain_graph=True)
    cotangent = torch.zeros_like(stage, requires_grad=True)
    (pulled,) = torch.autograd.grad(stage, [source], cotangent, retain_graph=True, create_graph=True)
    (cut,) = torch.autograd.grad(pulled, cotangent, gradient)
    return cut.detach()


def _source(stage: torch.Tensor, score: torch.Tensor) -> GradientEdge | None:
    """The map's nearest ancestor in the graph that is also an ancestor of the score."""
    behind, stack = set(), [score.grad_fn]
    while stack:
        node = stack.pop()
        if node is not None and node not in behind:
            behind.add(node)
            stack += [parent for parent, _ in node.next_functions]
    queue, seen = [(stage.grad_fn, stage.output_nr)], set()
    for node, number in queue:
        if node is None or node in seen or hasattr(node, 'variable'):  # parameters are shared ancestors
            continue
        if node in behind:
            return GradientEdge(node, number)
        seen.add(node)
        queue += node.next_functions
    return None
