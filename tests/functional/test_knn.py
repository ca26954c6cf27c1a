"""k-nearest-neighbour accuracy."""

import pytest
import torch

from hetkd.errors import UserError
from hetkd.functional import knn, knn_accuracy


def by_hand(embedding, target, k, temperature):
    right = 0
    for i, one in enumerate(embedding):
        near = [(float(torch.cosine_similarity(one, x, dim=0)), int(target[j]))
                for j, x in enumerate(embedding) if j != i]  # fmt: skip
        votes = dict.fromkeys(range(10), 0.0)
        for similarity, label in sorted(near)[-k:]:
            votes[label] += torch.tensor(similarity / temperature).exp().item()
        right += max(votes, key=votes.get) == target[i]
    return float(right) / len(embedding)


@pytest.mark.parametrize('k, temperature', [(1, 0.07), (5, 0.07), (5, 10.0), (39, 0.5)])
@pytest.mark.parametrize('chunk', [2**24, 100])
def test_it_is_the_vote_of_the_nearest_others(k, temperature, chunk, monkeypatch):
    monkeypatch.setattr(knn, '_CHUNK', chunk)
    target = torch.arange(40) % 4
    embedding = torch.randn(40, 6) + 0.8 * torch.randn(4, 6)[target]
    found = knn_accuracy(embedding, target, k, temperature)
    assert float(found) == pytest.approx(by_hand(embedding, target, k, temperature)) and 0.2 < found < 1


def test_an_image_is_no_neighbour_of_its_own():
    """Pairs of one place and two classes: the other one is always nearest."""
    embedding = torch.eye(4).repeat_interleave(2, 0)
    assert knn_accuracy(embedding, torch.arange(8) % 2, k=1) == 0
    assert knn_accuracy(embedding, torch.arange(8) // 2, k=1) == 1


def test_the_length_of_an_embedding_and_its_number_format_do_not_matter():
    target = torch.arange(40) % 4
    embedding = torch.randn(4, 8)[target] + torch.randn(40, 8)
    scaled = embedding * torch.rand(40, 1).exp()
    assert knn_accuracy(scaled, target, 5) == knn_accuracy(embedding, target, 5)
    assert knn_accuracy(embedding.half(), target, 5) == knn_accuracy(embedding.half().float(), target, 5)


@pytest.mark.parametrize('k', [0, 8, 20])
def test_more_neighbours_than_images_are_refused(k):
    with pytest.raises(UserError, match='kNN: expected k from 1 to 7'):
        knn_accuracy(torch.randn(8, 3), torch.arange(8), k)
