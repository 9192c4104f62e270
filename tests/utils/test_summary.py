"""utils.summary: one row per module, shapes from a call that leaves no trace."""

import rushlight as torch
from rushlight.utils.summary import summary


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = torch.nn.BatchNorm1d(4)
        self.rnn = torch.nn.GRU(4, 3, batch_first=True)
        self.inner = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout())
        self.tied = torch.nn.Linear(3, 3)
        self.tied.weight = self.inner[0].weight
        self.unused = torch.nn.Linear(2, 2).requires_grad_(False)

    def forward(self, x, scale=1):
        out, _ = self.rnn(self.norm(x.transpose(1, 2)).transpose(1, 2))
        return {"y": self.tied(self.inner(out)) * scale}


def test_rows_and_totals():
    net = Net()
    found = summary(net, torch.rand(2, 5, 4), scale=2)
    assert found.rows == [
        (0, "", "Net", {"y": (2, 5, 3)}, 0),
        (1, "norm", "BatchNorm1d", (2, 4, 5), 8),
        (1, "rnn", "GRU", [(2, 5, 3), (1, 2, 3)], 81),
        (1, "inner", "Sequential", (2, 5, 3), 0),
        (2, "0", "Linear", (2, 5, 3), 12),
        (2, "1", "Dropout", (2, 5, 3), 0),
        (1, "tied", "Linear", (2, 5, 3), 12),
        (1, "unused", "Linear", None, 6),
    ]
    total = sum(p.numel() for p in net.parameters())
    assert found.parameters == total == 8 + 81 + 12 + 3 + 6
    assert found.trainable == total - 6
    assert found.bytes == 4 * total + 4 * 8 + 8
    text = str(found)
    assert f"Parameters: {total} ({total - 6} trainable)" in text
    assert len({len(line) for line in text.splitlines()[:-1]}) == 1


def test_the_call_leaves_no_trace():
    net = Net().train()
    net.inner.eval()
    before = net.norm.running_mean.clone()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    summary(net, torch.rand(2, 5, 4, generator=torch.Generator()))
    assert net.training and not net.inner.training and net.norm.training
    assert torch.equal(net.norm.running_mean, before) and not net.norm._forward_hooks
    assert torch.equal(state, torch.get_rng_state())


def test_without_inputs_it_is_not_called():
    assert [row[3] for row in summary(Net()).rows] == [None] * 8
