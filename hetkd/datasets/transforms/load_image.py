"""Reading images, with the name of a broken one."""

from typing import Optional

from mmcv.transforms import LoadImageFromFile

from hetkd.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile``, which names a file that cannot be read.

    The image is (H, W, 3) uint8 in the order BGR.

    Args:
        imdecode_backend: who decodes. Default: pillow, which notices a file that was cut off; OpenCV 4 fills
            the missing part with grey.
        **kwargs: see mmcv's ``LoadImageFromFile``.

    Raises:
        OSError: the file is absent, empty, cut off or no image; with its path and the reason.
    """

    def __init__(self, imdecode_backend: str = 'pillow', **kwargs):
        super().__init__(imdecode_backend=imdecode_backend, **kwargs)

    def transform(self, results: dict) -> Optional[dict]:
        """Read ``results['img_path']`` into ``results['img']``."""
        path = results['img_path']
        try:
            return super().transform(results)
        except Exception as error:
            raise OSError(
                f'{path}: expected a whole image, got one that cannot be read ({type(error).__name__}: '
                f'{error}); fetch the data set again, or find all broken files with `python '
                f'tools/misc/fetch_data.py CONFIG --check-images`'
            ) from error
