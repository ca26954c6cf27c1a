"""What identifies a file."""

import hashlib


def file_digest(path) -> str:
    """SHA-256 of its content."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
