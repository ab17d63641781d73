import threading

import pytest

from aslspark.training.prefetch import prefetched


def threads_left():
    return [thread for thread in threading.enumerate() if thread.name == "aslspark-prefetch"]


def test_items_come_in_order_and_the_thread_ends():
    assert list(prefetched(range(100))) == list(range(100))
    assert not threads_left()


def test_it_runs_ahead_but_no_further_than_it_may():
    made, enough = [], threading.Event()

    def items():
        for n in range(10):
            made.append(n)
            if n == 3:  # one in use, two ready, one in the making
                enough.set()
            yield n

    ahead = prefetched(items(), ahead=2)
    assert next(ahead) == 0
    assert enough.wait(timeout=30)
    assert made == [0, 1, 2, 3]
    ahead.close()
    assert not threads_left()


def test_an_error_is_raised_where_its_item_would_have_come():
    def items():
        yield 1
        raise ValueError("broken file")

    ahead = prefetched(items())
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken file"):
        next(ahead)
    assert not threads_left()
