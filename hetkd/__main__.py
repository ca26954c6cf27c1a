"""``python -m hetkd TOOL ...``, also for ``torchrun -m hetkd``."""

from hetkd.apis.commands import main

main()
