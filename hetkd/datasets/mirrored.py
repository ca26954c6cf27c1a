"""Test-time augmentation by flipping: each image of a data set and its mirror image."""

from torch.utils.data import Dataset

from hetkd.registry import DATASETS


@DATASETS.register_module()
class Mirrored(Dataset):
    """Two views of each image of a data set, in the form of mmcv's ``TestTimeAug``.

    Args:
        dataset: config of a data set whose samples are images (C, H, W) as ``inputs``, and ``data_samples``.
    """

    def __init__(self, dataset: dict):
        self.dataset = DATASETS.build(dataset)
        self.metainfo = self.dataset.metainfo

    def __getitem__(self, idx: int) -> dict:
        """Lists of the mirrored and the plain image, and of their samples."""
        sample = self.dataset[idx]
        image, label = sample['inputs'], sample['data_samples']
        return dict(inputs=[image.flip(-1), image], data_samples=[label.clone(), label])

    def __len__(self) -> int:
        return len(self.dataset)

    def full_init(self) -> None:
        """For mmengine."""
        self.dataset.full_init()

    def get_data_info(self, idx: int) -> dict:
        """The data set's own."""
        return self.dataset.get_data_info(idx)
