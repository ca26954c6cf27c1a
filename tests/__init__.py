"""Tests of hetkd: of the CPU, on a machine with a GPU as well, unless ``pytest -m cuda`` runs them."""

import os
import sys

# Before anything looks for a GPU; what runs in other processes, xdist's among them, inherits it.
if 'PYTEST_XDIST_WORKER' not in os.environ and not any('cuda' in x for x in sys.argv[1:]):
    os.environ['CUDA_VISIBLE_DEVICES'] = ''
