"""A signal asks; the handlers that were there before come back."""

import os
import signal
import threading

import pytest

from jaxconv.train.stop import Stopped, StopRequest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_the_process_goes_on(number):
    before = signal.getsignal(number)
    with StopRequest() as request:
        os.kill(os.getpid(), number)
        assert request.signal == number
    assert signal.getsignal(number) is before


def test_a_second_interrupt_ends_it():
    with pytest.raises(KeyboardInterrupt), StopRequest():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_outside_the_main_thread_nothing_is_installed():
    seen = []

    def body():
        with StopRequest() as request:
            seen.append((request.signal, signal.getsignal(signal.SIGTERM)))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [(None, before)]


def test_what_a_stop_says():
    assert str(Stopped(signal.SIGTERM, 7)) == "stopped by SIGTERM; saved at step 7"
