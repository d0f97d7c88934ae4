import signal

import pytest


def pytest_collection_modifyitems(items):
    """Tests that take long run last."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes seconds")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as in what a shell's script starts in the background
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def torch():
    return pytest.importorskip("torch")
