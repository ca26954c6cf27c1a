"""The error for what a user can put right: what, expected, got, fix."""

from typing import Optional


class UserError(ValueError):
    """A mistake in what a user has given: a config, a file, a flag, an argument.

    It reads ``WHAT: expected EXPECTED, got GOT; FIX``, and the tools print it without a traceback.

    Args:
        what: the key, flag, file or argument; alone, the whole message.
        expected: what would have been right.
        got: what was there.
        fix: what to do, where ``expected`` does not say it.
    """

    def __init__(self, what, expected: Optional[str] = None, got=None, fix: Optional[str] = None):
        self.what, self.expected, self.got, self.fix = what, expected, got, fix
        text = str(what) if expected is None else f'{what}: expected {expected}, got {got}'
        joint = '. ' if fix and fix[0].isupper() else '; '
        super().__init__(f'{text}{joint}{fix}' if fix else text)
