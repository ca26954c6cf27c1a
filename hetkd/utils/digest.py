"""File checksum."""

import hashlib


def file_digest(path) -> str:
    """SHA-256 of a file's content."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
