"""Teacher caches: a teacher's outputs on disk, read in place of the teacher."""

from .cache import TeacherCache
from .cached_teacher import CachedTeacher
from .replay import ReplayHook
from .write import write_cache

__all__ = ['CachedTeacher', 'ReplayHook', 'TeacherCache', 'write_cache']
