"""Five seconds that touch every layer once: if this fails, nothing else is worth running."""

import io

import rushlight as torch
from rushlight import nn


def test_tensors_and_gradients():
    x = torch.arange(6.0).reshape(2, 3).requires_grad_()
    y = (x.T @ x).relu().sum() + x[0, 1:].exp().mean()
    y.backward()
    assert x.grad.shape == (2, 3)
    assert repr(torch.ones(2)) == "tensor([1., 1.])"


def test_views_and_writes():
    base = torch.zeros(2, 3)
    base[1] = 1.0
    base.T[0].add_(5)
    assert base.tolist() == [[5.0, 0.0, 0.0], [6.0, 1.0, 1.0]]


def test_training_saving_and_loading():
    torch.manual_seed(0)
    x = torch.randn(64, 1, 8, 8)
    y = (x.mean((1, 2, 3)) > 0).long()
    make = lambda: nn.Sequential(  # noqa: E731
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 2)
    )
    net = make()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x, y), batch_size=16, shuffle=True
    )
    losses = []
    for _ in range(5):
        for images, labels in loader:
            loss = nn.functional.cross_entropy(net(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    assert losses[-1] < losses[0]

    file = io.BytesIO()
    torch.save(net.state_dict(), file)
    file.seek(0)
    fresh = make()
    fresh.load_state_dict(torch.load(file))
    assert torch.equal(fresh(x), net(x))


def test_the_version_says_which_torch_this_follows_and_is_the_packages():
    from importlib.metadata import version

    assert torch.__version__ >= "2.13"
    assert torch.__version__ >= (2, 9)
    assert str(torch.__version__).partition("+rushlight.")[2] == version("rushlight")
