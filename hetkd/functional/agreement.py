"""Agreement of two classifiers: which of them is right on each image."""

import torch

GROUPS = ('both_right', 'teacher_only', 'student_only', 'both_wrong')


def who_is_right(student: torch.Tensor, teacher: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The group of each image: an index into ``GROUPS``.

    Args:
        student, teacher: logits or scores (N, C).
        target: class indices (N,).

    Returns:
        (N,): 0 both are right, 1 the teacher only, 2 the student only, 3 neither.
    """
    student_is_wrong, teacher_is_wrong = (x.argmax(1) != target for x in (student, teacher))
    return student_is_wrong + 2 * teacher_is_wrong
