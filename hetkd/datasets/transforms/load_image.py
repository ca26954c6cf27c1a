"""Loading of image files, with 16-bit grey scaled to 8 bits and errors that name the file."""

import io
from typing import Optional

import mmcv
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmengine import fileio
from PIL import Image, ImageOps

from hetkd.errors import UserError
from hetkd.registry import TRANSFORMS

# Formats whose 16-bit grey is unsigned.
DEEP_FORMATS = ('PNG', 'PPM', 'TIFF', 'JPEG2000')
# Tags of TIFF.
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
WHITE_IS_ZERO, SIGNED = 0, 2


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """mmcv's ``LoadImageFromFile``, which scales 16-bit grey to 8 bits and names a file that it cannot read.

    The image is (H, W, 3) uint8 in the order BGR, turned as its EXIF orientation says. Of an animation it is
    the first frame.

    - Grey of 16 bits, or of 12 bits in a TIFF, keeps its 8 highest bits: the file's range 0 to 65535 (4095)
      becomes 0 to 255. Colour of 16 bits is scaled alike.
    - Grey, 1-bit, palette, CMYK: converted to RGB by pillow.
    - Transparency: dropped in RGBA and palette; grey with transparency is put on mmcv's ground of
      RGB (124, 117, 104).
    - Signed, 32-bit and float images are refused, since nothing says which value is white.

    Args:
        imdecode_backend: the decoder. Default: pillow, which notices a truncated file; OpenCV 4 fills
            the missing part with grey.
        **kwargs: see mmcv's ``LoadImageFromFile``.

    Raises:
        UserError: the file is absent, empty, truncated, no image, or of an unknown range; it names file and
            reason.
    """

    def __init__(self, imdecode_backend: str = 'pillow', **kwargs):
        super().__init__(imdecode_backend=imdecode_backend, **kwargs)

    def transform(self, results: dict) -> Optional[dict]:
        """Read ``results['img_path']`` into ``results['img']``."""
        path = results['img_path']
        try:
            content = eight_bits(fileio.get(path, backend_args=self.backend_args))
            image = mmcv.imfrombytes(content, flag=self.color_type, backend=self.imdecode_backend)
            if image is None:
                raise OSError(f'{self.imdecode_backend} cannot decode it')
        except UserError as error:
            raise UserError(path, error.expected, error.got, error.fix) from error
        except Exception as error:
            if self.ignore_empty:
                return None
            raise UserError(
                path,
                'a whole image',
                f'one that cannot be read ({error})',
                'fetch the data set again, or find all broken files with `python '
                'tools/misc/fetch_data.py CONFIG --check-images`',
            ) from error
        results['img'] = image.astype(np.float32) if self.to_float32 else image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results


def eight_bits(content: bytes) -> bytes:
    """The content of an image file; if it is 16-bit grey, that of an 8-bit BMP with the same image.

    Raises:
        UserError: signed, 32-bit or float values.
    """
    image = Image.open(io.BytesIO(content))
    tags = getattr(image, 'tag_v2', {})
    signed = SIGNED in tags.get(SAMPLE_FORMAT, ())
    if image.mode[0] not in 'IF' and not signed:
        return content
    # Older versions of pillow open 16-bit PNG, all open 16-bit PGM, as I.
    is_deep = image.mode.startswith('I;16') or (image.mode == 'I' and image.format in ('PNG', 'PPM'))
    if signed or not is_deep or image.format not in DEEP_FORMATS:
        kind = f'{"signed " if signed else ""}{image.format} of mode {image.mode}'
        raise UserError(
            'image',
            'an unsigned one of at most 16 bits',
            f'{kind}, whose values for black and white are not known',
            'convert the files to PNG of 8 or 16 bits, or use LoadImageFromFile and a transform of your own '
            'that scales them to 0-255',
        )
    levels = np.asarray(ImageOps.exif_transpose(image)) >> (tags.get(BITS, (16,))[0] - 8)
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        levels = 255 - levels
    buffer = io.BytesIO()
    Image.fromarray(levels.astype(np.uint8)).save(buffer, 'BMP')
    return buffer.getvalue()
