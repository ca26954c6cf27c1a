"""Python entry points behind the command-line tools."""

from .config import check_keys, find_config, load_config
from .inference import inference_model, init_model
from .student import export_student, load_student, publish_student, student_config

__all__ = [
    'check_keys',
    'export_student',
    'find_config',
    'inference_model',
    'init_model',
    'load_config',
    'load_student',
    'publish_student',
    'student_config',
]
