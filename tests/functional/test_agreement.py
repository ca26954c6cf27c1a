"""Agreement of two classifiers."""

import torch

from hetkd.functional import GROUPS, who_is_right


def test_the_four_groups():
    right, wrong = torch.eye(2)[[0]], torch.eye(2)[[1]]
    found = {
        name: who_is_right(student, teacher, torch.tensor([0])).item()
        for name, student, teacher in [
            ('both_right', right, right),
            ('teacher_only', wrong, right),
            ('student_only', right, wrong),
            ('both_wrong', wrong, wrong),
        ]
    }
    assert found == {name: i for i, name in enumerate(GROUPS)}
