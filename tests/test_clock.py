"""The run's clock."""

import os

from hetkd.clock import finish_steps, finishes_steps, own_clock, read_clock, set_clock


def test_runs_in_forked_processes_have_clocks_of_their_own():
    """Also where the fork had imported the clock: memory that data workers share is not shared by runs."""
    set_clock(7, 1)
    with own_clock():
        assert read_clock() is None and not finishes_steps()
        child = os.fork()
        if child == 0:
            with own_clock():
                set_clock(8, 2)
                finish_steps(True)
                os._exit(read_clock() != (8, 2))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert read_clock() is None and not finishes_steps()
        child = os.fork()  # a data worker
        if child == 0:
            set_clock(9, 3)
            os._exit(0)
        os.waitpid(child, 0)
        assert read_clock() == (9, 3)
    assert read_clock() == (7, 1)
