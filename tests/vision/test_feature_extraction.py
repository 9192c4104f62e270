"""Networks cut at named nodes."""

import pytest

import rushlight as torch
from rushlight.vision import models
from rushlight.vision.models.feature_extraction import (
    create_feature_extractor,
    get_graph_node_names,
)


class Plain(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lin = torch.nn.Linear(2, 2)
        self.bn = torch.nn.BatchNorm1d(2)

    def forward(self, x):
        x = self.lin(self.lin(x))
        x = self.bn(torch.relu(x) + x.relu())
        return x * 2 if self.training else x


def test_names_of_nodes():
    train, evaluation = get_graph_node_names(Plain(), suppress_diff_warning=True)
    names = ["x", "lin", "lin_1", "relu", "relu_1", "add", "bn"]
    assert train == [*names, "mul"] and evaluation == names
    names = get_graph_node_names(models.resnet18(num_classes=2))[0]
    first = ["layer1.0.conv1", "layer1.0.bn1", "layer1.0.relu", "layer1.0.conv2"]
    assert names[:9] == ["x", "conv1", "bn1", "relu", "maxpool", *first]
    assert names[9:12] == ["layer1.0.bn2", "layer1.0.add", "layer1.0.relu_1"]
    assert names[-3:] == ["avgpool", "flatten", "fc"]
    with pytest.warns(UserWarning, match="suppress_diff_warning"):
        get_graph_node_names(Plain())


def test_extracted_features():
    torch.manual_seed(0)
    net = models.resnet18(num_classes=2).eval()
    parts = create_feature_extractor(
        net, {"layer1": "low", "layer2.0.add": "sum", "avgpool": "end"}
    )
    x = torch.rand(1, 3, 32, 32)
    found = parts(x)
    assert list(found) == ["low", "sum", "end"] and type(parts).__name__ == "ResNet"
    low = net.layer1(net.maxpool(net.relu(net.bn1(net.conv1(x)))))
    assert torch.equal(found["low"], low)
    assert torch.equal(found["sum"].relu(), net.layer2[0](low))
    assert "fc" not in dict(parts.named_children())
    assert parts.conv1.weight is not net.conv1.weight
    found["end"].sum().backward()
    assert parts.conv1.weight.grad is not None and net.conv1.weight.grad is None


def test_training_and_evaluation_differ():
    both = {"train_return_nodes": {"mul": "out"}, "eval_return_nodes": ["bn"]}
    parts = create_feature_extractor(Plain().eval(), **both)
    x = torch.rand(3, 2)
    assert list(parts(x)) == ["bn"]
    assert list(parts.train()(x)) == ["out"] and list(parts.eval()(x)) == ["bn"]
    for given in ({}, {"train_return_nodes": ["bn"]}, {"return_nodes": ["bn"], **both}):
        with pytest.raises(ValueError, match="return_nodes"):
            create_feature_extractor(Plain(), **given)
    with pytest.raises(ValueError, match="no node 'bm'"):
        create_feature_extractor(Plain(), ["bm"], suppress_diff_warning=True)


def test_transformers():
    vit = models.VisionTransformer(8, 4, 1, 2, 8, 16, num_classes=3)
    parts = create_feature_extractor(vit, ["conv_proj", "encoder.ln"])
    assert parts(torch.rand(1, 3, 8, 8))["encoder.ln"].shape == (1, 5, 8)
    swin = models.SwinTransformer([2, 2], 8, [2], [2], [2, 2], num_classes=3)
    parts = create_feature_extractor(swin, ["features.1.0.attn", "flatten"])
    assert parts(torch.rand(1, 3, 8, 8))["features.1.0.attn"].shape == (1, 4, 4, 8)
