"""Python entry points behind the command-line tools."""

from .config import check_keys, load_config
from .student import export_student, load_student, student_config

__all__ = ['check_keys', 'export_student', 'load_config', 'load_student', 'student_config']
