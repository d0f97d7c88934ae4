"""simclr.Encoder as a step of scikit-learn's pipelines."""
import numpy as np
import pytest

base = pytest.importorskip("sklearn.base")
linear_model = pytest.importorskip("sklearn.linear_model")
pipeline = pytest.importorskip("sklearn.pipeline")

from test_encoder import embedded, encoder, folder, run  # noqa: E402, F401


def test_a_pipeline_classifies_files(folder, encoder, embedded):  # noqa: F811
    names, features = embedded
    paths = [str(folder / "pictures/train" / name) for name in names]
    labels = [name[0] for name in names]
    model = pipeline.make_pipeline(encoder, linear_model.LogisticRegression(max_iter=1000))
    assert model.fit(paths, labels).score(paths, labels) > 1 / 3
    again = base.clone(model)
    assert again[0] is not encoder and np.array_equal(again[0].transform(paths), features)
    assert np.array_equal(again.fit(paths, labels).predict(paths), model.predict(paths))
    assert model[:-1].get_feature_names_out()[31] == "encoder31"
    model.set_params(encoder__batch_size=7)
    assert encoder.batch_size == 7
    model.set_params(encoder__batch_size=64)
