"""nt_xent and sup_con beside lightly's and pytorch-metric-learning's losses, on the cases of their own tests, and lightly's
example for CIFAR-10 with its loss exchanged. Those who are not installed are skipped."""
import math

import pytest

torch = pytest.importorskip("torch")
import simclr  # noqa: E402
import simclr.torch as st  # noqa: E402

EPSILON = {torch.float32: 2.0**-23, torch.float64: 2.0**-52}
DTYPES = sorted(EPSILON, key=str)


@pytest.fixture
def lightly_loss():
    return pytest.importorskip("lightly.loss").NTXentLoss


@pytest.fixture
def metric():
    return pytest.importorskip("pytorch_metric_learning.losses")


def embeddings(seed, *shape, dtype=torch.float32):
    z = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return z.to(dtype).requires_grad_()


def on_circle(*degrees, dtype=torch.float32):
    angles = torch.tensor([math.radians(d) for d in degrees], dtype=torch.float64)
    return torch.stack([angles.cos(), angles.sin()], 1).to(dtype).requires_grad_()


def check_alike(loss, expected, inputs, temperature, rounding):
    """Values and gradients to `rounding` units in the last place of the arithmetic. A similarity is rounded as a number
    of 1 is, and so a logit by 1/temperature of that, which its exponential takes over: that is the loss's error, and
    relatively the gradient's, whose terms are 1/(temperature |z| rows) each."""
    epsilon = EPSILON[inputs[0].dtype]
    assert loss.dtype == expected.dtype
    assert abs(loss.item() - expected.item()) <= rounding * epsilon * (1 / temperature + expected.item())
    rows = sum(len(x) for x in inputs)
    got = torch.autograd.grad(loss, inputs, retain_graph=True)
    wanted = torch.autograd.grad(expected, inputs)
    for g, w, x in zip(got, wanted, inputs):
        terms = (1 + 1 / temperature) / (temperature * x.detach().norm(dim=1, keepdim=True) * rows)
        assert ((g - w).abs() <= rounding * epsilon * terms).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("temperature", [0.1, 1, 10])
@pytest.mark.parametrize("width", [1, 2, 16, 64])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_lightly_values(lightly_loss, n, width, temperature, dtype):
    a, b = embeddings(1, n, width, dtype=dtype), embeddings(2, n, width, dtype=dtype)
    for x, y in ((a, b), (b, a)):
        check_alike(st.nt_xent(torch.cat([x, y]), temperature), lightly_loss(temperature)(x, y), [x, y], temperature, 4)


@pytest.mark.parametrize("width", [1, 32])
@pytest.mark.parametrize("n", range(1, 20))
def test_lightly_batches(lightly_loss, n, width):
    a, b = embeddings(3, n, width), embeddings(4, n, width)
    expected = lightly_loss(memory_bank_size=0)
    for x, y in ((a, b), (b, a)):
        check_alike(st.nt_xent(torch.cat([x, y])), expected(x, y), [x, y], 0.5, 4)


@pytest.mark.parametrize("temperature", [0.1, 1, 7])
@pytest.mark.parametrize("n", [1, 2, 8, 16])
def test_lightly_parallel_rows(lightly_loss, n, temperature):
    """All similarities are 1: each of the others is as likely."""
    a, b = (torch.rand(n, 1, generator=torch.Generator().manual_seed(seed)) for seed in (5, 6))
    a, b = (torch.cat([x, 2 * x], 1).requires_grad_() for x in (a, b))
    loss = st.nt_xent(torch.cat([a, b]), temperature)
    assert abs(loss.item() - math.log(2 * n - 1)) <= 4 * EPSILON[torch.float32] * (1 / temperature + loss.item())
    check_alike(loss, lightly_loss(temperature)(a, b), [a, b], temperature, 4)


@pytest.mark.parametrize("temperature", [0.1, 1, 7])
@pytest.mark.parametrize("size", [1, 2, 8, 15, 16, 17])
@pytest.mark.parametrize("n", [1, 2, 8, 16])
def test_lightly_memory_bank(lightly_loss, n, size, temperature):
    """With a bank lightly compares a sample with its own other view and the bank alone: as one call for each sample."""
    torch.manual_seed(7)
    expected = lightly_loss(temperature, memory_bank_size=(size, 16))
    for step in range(size // n + 2):  # more than fill it
        a, b = embeddings(step, n, 16), embeddings(100 + step, n, 16)
        bank = expected.memory_bank.bank.clone()
        wanted = expected(a, b)
    losses = [st.nt_xent(a[i:i + 1], temperature, candidates=torch.cat([b[i:i + 1], bank])) for i in range(n)]
    check_alike(torch.stack(losses).mean(), wanted, [a, b], temperature, 4)


# pytorch-metric-learning's labelled points of the unit circle.
ANGLES, LABELS = (0, 10, 20, 50, 60, 80), torch.tensor([0, 0, 0, 1, 1, 2])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("angles, labels", [(ANGLES, LABELS), ((0, 20, 40, 60, 80), torch.tensor([0, 0, 1, 1, 2]))])
def test_metric_sup_con(metric, angles, labels, dtype):
    z = on_circle(*angles, dtype=dtype)
    check_alike(st.sup_con(z, labels, 0.1), metric.SupConLoss(temperature=0.1)(z, labels), [z], 0.1, 4)


def pairs_apart(z, labels, temperature, candidates=None, candidate_labels=None):
    """[losses of each row's positives], one at a time among all negatives, as pytorch-metric-learning's NTXentLoss has
    them: a row's other positives are not in its sum. Where a row has one positive that is nt_xent."""
    others, kinds = (z, labels) if candidates is None else (candidates, candidate_labels)
    found = []
    for i in range(len(z)):
        positive = kinds == labels[i]
        if candidates is None:
            positive[i] = False
        negatives = others[kinds != labels[i]]
        found.append([st.nt_xent(z[i:i + 1], temperature, candidates=torch.cat([others[p:p + 1], negatives]))
                      for p in positive.nonzero()[:, 0].tolist()])
    return [losses for losses in found if losses]


@pytest.mark.parametrize("dtype", DTYPES)
def test_metric_nt_xent(metric, dtype):
    from pytorch_metric_learning.reducers import AvgNonZeroReducer, PerAnchorReducer
    z = on_circle(*ANGLES, dtype=dtype)
    losses = pairs_apart(z, LABELS, 0.1)
    every = torch.stack(sum(losses, []))
    check_alike(every.mean(), metric.NTXentLoss(temperature=0.1)(z, LABELS), [z], 0.1, 4)
    of_rows = torch.stack([torch.stack(own).mean() for own in losses])
    reducer = PerAnchorReducer(AvgNonZeroReducer())
    check_alike(of_rows.mean(), metric.NTXentLoss(temperature=0.1, reducer=reducer)(z, LABELS), [z], 0.1, 4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_metric_one_positive(metric, dtype):
    z, labels = on_circle(0, 20, 40, 60, 80, dtype=dtype), torch.tensor([0, 0, 1, 1, 2])
    check_alike(st.nt_xent(z, 0.1, groups=labels), metric.NTXentLoss(temperature=0.1)(z, labels), [z], 0.1, 4)


@pytest.mark.parametrize("name", ["NTXentLoss", "SupConLoss"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_metric_references(metric, dtype, name):
    z, others = embeddings(8, 4, 32, dtype=dtype), embeddings(9, 3, 32, dtype=dtype)
    labels, kinds = torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 2])
    expected = getattr(metric, name)(temperature=0.1)(z, labels, ref_emb=others, ref_labels=kinds)
    check_alike(st.nt_xent(z, 0.1, candidates=others, groups=(labels, kinds)), expected, [z, others], 0.1, 4)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
def test_metric_two_views(metric, dtype, symmetric):
    a, b = embeddings(10, 100, 256, dtype=dtype), embeddings(11, 100, 256, dtype=dtype)
    expected = metric.SelfSupervisedLoss(metric.NTXentLoss(temperature=0.07), symmetric=symmetric)(a, b)
    loss = st.nt_xent(torch.cat([a, b]), 0.07) if symmetric else st.nt_xent(a, 0.07, candidates=b)
    check_alike(loss, expected, [a, b], 0.07, 4)


@pytest.mark.parametrize("angles, labels", [((0,), [0]), ((0, 40, 60), [1, 2, 3])])
def test_metric_without_positives(metric, angles, labels):
    """Where no row has a positive their loss is 0, which trains nothing and says nothing; here it is an error."""
    z, labels = on_circle(*angles), torch.tensor(labels)
    assert metric.SupConLoss()(z, labels).item() == 0
    with pytest.raises(simclr.InputError, match="no anchor has a positive among the"):
        st.sup_con(z, labels)


def example_views(transform, batches, batch):
    """Two views of each picture, as lightly's transform makes them; the pictures are patches of colour."""
    images = pytest.importorskip("PIL.Image")
    patches = torch.randint(0, 256, (batches * batch, 4, 4, 3), generator=torch.Generator().manual_seed(12), dtype=torch.uint8)
    torch.manual_seed(13)
    pairs = [transform(images.fromarray(p.numpy()).resize((32, 32), images.BICUBIC)) for p in patches]
    return [[torch.stack([pair[view] for pair in pairs[first:first + batch]]) for view in (0, 1)]
            for first in range(0, len(pairs), batch)]


def train_example(views, criterion, steps, dtype):
    """The losses of lightly's example for CIFAR-10, with its head and optimizer, and three convolutions for its ResNet-18."""
    heads = pytest.importorskip("lightly.models.modules")
    torch.manual_seed(14)
    layers = []
    for inputs, outputs in ((3, 32), (32, 64), (64, 128)):
        layers += [torch.nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), torch.nn.BatchNorm2d(outputs), torch.nn.ReLU()]
    backbone = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1))
    model = torch.nn.Sequential(backbone, torch.nn.Flatten(), heads.SimCLRProjectionHead(128, 128, 128)).to(dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06)
    losses = []
    for step in range(steps):
        a, b = (x.to(dtype) for x in views[step % len(views)])
        loss = criterion(model(a), model(b))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return torch.tensor(losses, dtype=torch.float64)


@pytest.mark.slow
def test_lightly_example_with_one_line_exchanged(lightly_loss):
    """Rounding grows as a network trains. In float64 it is some 1e-11 after 50 steps (a growth by 1e5), so that 1e-8 leaves
    room for other processors, and a gradient that is another by a millionth would be seen. In float32 the growth meets the
    kinks of ReLU after a few steps, and two orders of the same sum part as far as two seeds: the first three are compared."""
    transform = pytest.importorskip("lightly.transforms.simclr_transform").SimCLRTransform(32, gaussian_blur=0.0)
    views = example_views(transform, 5, 64)
    for dtype, steps, relative in ((torch.float32, 3, 8 * EPSILON[torch.float32]), (torch.float64, 50, 1e-8)):
        expected = train_example(views, lightly_loss(), steps, dtype)
        losses = train_example(views, lambda a, b: st.nt_xent(torch.cat([a, b])), steps, dtype)
        assert ((losses - expected).abs() <= relative * expected).all()
    assert expected[-5:].mean() < 0.95 * expected[:5].mean()  # it learns
