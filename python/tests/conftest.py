import pytest


def pytest_collection_modifyitems(items):
    """Tests that take long run last."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes seconds")


@pytest.fixture
def torch():
    return pytest.importorskip("torch")
