"""Grad-CAM: where in an image a net finds a class."""

import torch
from torch.autograd.graph import GradientEdge


def grad_cam(stage: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
    r"""Grad-CAM of a stage map (Selvaraju et al., ICCV 2017, arXiv 1610.02391, equations 1 and 2).

    .. math:: \mathrm{ReLU}\Big(\sum_k \alpha_k A_k\Big), \qquad
        \alpha_k = \mathrm{mean}_{hw}\ \partial\, \mathrm{score} / \partial A_{khw}

    A token net's map is cut from its tokens and the net goes on with those, so the map is no part of the
    score's graph; see :func:`stage_gradient`.

    Args:
        stage: (N, K, H, W), with a graph.
        score: (N,), the logits of the classes to be explained, with a graph.

    Returns:
        (N, H, W), scaled to a largest value of 1 in each image; all 0 where the score does not depend on the
        map, as on a ViT's last patch tokens beside its class token, or only negatively.
    """
    weights = stage_gradient(stage, score).mean((2, 3), keepdim=True)
    cam = (weights * stage.detach()).sum(1).relu()
    return cam / cam.amax((1, 2), keepdim=True).clamp_min(torch.finfo(cam.dtype).tiny)


def stage_gradient(stage: torch.Tensor, score: torch.Tensor) -> torch.Tensor:
    """Gradient (N, K, H, W) of the scores' sum at what the stage was cut from, cut in the same way.

    Going back from the map, the first tensor that the score depends on is taken: the map itself, or the
    tokens of which it is a slice and a reshape. Their gradient goes through the same cut (the derivative of
    the cut, obtained by differentiating its backward pass, which is linear).
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
    """The nearest tensor behind the map that is also behind the score."""
    behind, stack = set(), [score.grad_fn]
    while stack:
        node = stack.pop()
        if node is not None and node not in behind:
            behind.add(node)
            stack += [parent for parent, _ in node.next_functions]
    queue, seen = [(stage.grad_fn, stage.output_nr)], set()
    for node, number in queue:
        if node is None or node in seen or hasattr(node, 'variable'):  # a parameter is behind everything
            continue
        if node in behind:
            return GradientEdge(node, number)
        seen.add(node)
        queue += node.next_functions
    return None
