"""torch.nn.functional: activations, losses, layers."""

from tests.ops.samples import FLOATS, I, P, S, T, V, op

# fmt: off


def f(names: str, *samples, **options) -> None:
    options.setdefault("dtypes", ("float32", "bfloat16"))
    op(" ".join("nn.functional." + n for n in names.split()), *samples, complex_grad=False,
       **options)


plain = [S(T(2, 3)), S(T()), S(T(0, 3))]
f("relu relu6 elu selu celu leaky_relu gelu silu mish softplus softsign tanhshrink "
   "softshrink hardshrink hardswish logsigmoid tanh sigmoid", *plain)
f("hardtanh", *plain, errors=[S(V([1, 2], "uint8"))])
f("hardsigmoid", *plain, second=False)
f("softmax log_softmax softmin", S(T(2, 3), 1), S(T(2, 3), dim=0), S(T(3), -1))
f("glu", S(T(2, 4)), S(T(2, 4), 0), errors=[S(T(3)), S(V([1, 2]))])
f("threshold", S(T(2, 3), 0.2, -1.0))
f("prelu", S(T(2, 3), T(3)), S(T(2, 3), T(1)))
f("normalize", S(T(2, 3)), S(T(2, 3), 1.0, 0))
f("linear", S(T(2, 3), T(4, 3)), S(T(2, 3), T(4, 3), T(4)), S(T(3), T(4, 3), T(4)),
   S(T(2, 2, 3), T(4, 3), T(4)), S(T(2, 2, 0), T(4, 0), T(4)), errors=[S(T(2, 3), T(4, 2))])
f("grouped_mm", S(T(6, 8), T(2, 8, 16), offs=V([2, 6], "int32")),
   S(T(2, 5, 8), T(8, 16), offs=V([8, 16], "int32")), S(T(2, 3, 8), T(2, 8, 16)),
   S(T(8, 16), T(16, 8), offs=V([8, 16], "int32")),
   base="float32", differences=False, rtol=10.0, errors=[S(T(6, 8), T(2, 8, 16)),
                                           S(T(6, 8), T(2, 8, 16), offs=V([2, 6]))])
f("bilinear", S(T(2, 3), T(2, 4), T(2, 3, 4)), S(T(2, 3), T(2, 4), T(2, 3, 4), T(2)))
f("embedding", S(I(2, 3, high=4), T(4, 2)), S(I(3, high=4), T(4, 2), padding_idx=1),
   errors=[S(V([4]), T(4, 2))], dtypes=("float32",))
f("one_hot", S(I(3, high=4)), S(I(2, 2, high=3), 5), errors=[S(V([3]), 2)], grad=False, dtypes=())
f("pad", S(T(2, 3), (1, 1)), S(T(2, 3), (1, 0, 2, 1), value=0.5),
   S(T(1, 2, 3), (1, 2), mode="reflect"), S(T(1, 2, 3), (1, 2), mode="replicate"),
   S(T(1, 2, 3), (1, 2), mode="circular"), S(T(2, 4), (-1, 1)),
   S(T(1, 1, 3, 3), (1, 1, 1, 1), mode="reflect"),
   errors=[S(T(2), (1, 1, 1, 1)), S(T(1, 2, 3), (3, 3), mode="reflect")], dtypes=("float32",))
f("cosine_similarity", S(T(2, 3), T(2, 3)), S(T(2, 3), T(2, 3), 0))
f("pairwise_distance", S(T(2, 3), T(2, 3)), S(T(2, 3), T(2, 3), 1.0), dtypes=("float32",))
f("dropout", S(T(2, 3), 0.0), S(T(2, 3), 0.5, False), errors=[S(T(2), 1.5)])

pairs = [S(T(2, 3), T(2, 3)), S(T(2, 3), T(2, 3), reduction="sum"),
    S(T(2, 3), T(2, 3), reduction="none")]
f("mse_loss l1_loss smooth_l1_loss huber_loss", *pairs,
   errors=[S(T(2, 3), T(2, 3), reduction="avg")])
probability = T(2, 3, low=0.1, high=0.9)
f("binary_cross_entropy", S(probability, T(2, 3, low=0, high=1)),
   S(probability, T(2, 3, low=0, high=1, grad=False), weight=P(3, grad=False)),
   S(probability, T(2, 3, low=0, high=1), reduction="sum"),
   errors=[S(T(2, 3, low=1.5, high=2), T(2, 3, low=0, high=1)),
   S(probability, T(2, low=0, high=1))], dtypes=("float32",))
f("binary_cross_entropy_with_logits", S(T(2, 3), T(2, 3, low=0, high=1)),
   S(T(2, 3), T(2, 3, low=0, high=1), pos_weight=P(3, grad=False)),
   S(T(2, 3), T(2, 3, low=0, high=1), reduction="none"))
f("cross_entropy", S(T(4, 3), I(4, high=3)), S(T(4, 3), I(4, high=3), weight=P(3, grad=False)),
   S(T(4, 3), V([0, 1, -100, 2])), S(T(4, 3), I(4, high=3), ignore_index=1),
   S(T(4, 3), I(4, high=3), reduction="none"),
   S(T(4, 3), I(4, high=3), reduction="sum", label_smoothing=0.1),
   S(T(4, 3), I(4, high=3), weight=P(3, grad=False), label_smoothing=0.2),
   S(T(4, 3), T(4, 3, low=0.1, high=1)), S(T(2, 3, 4), I(2, 4, high=3)), S(T(3), V(1)),
   errors=[S(T(4, 3), V([0, 1, 3, 2])), S(T(4, 3), I(3, high=3))], dtypes=("float32",))
f("nll_loss", S(T(4, 3), I(4, high=3)), S(T(4, 3), I(4, high=3), weight=P(3, grad=False)),
   S(T(4, 3), I(4, high=3), reduction="none", ignore_index=0), S(T(2, 3, 4), I(2, 4, high=3)),
   dtypes=("float32",))
f("kl_div", S(T(2, 3), P(2, 3)), S(T(2, 3), T(2, 3), log_target=True),
   S(T(2, 3), P(2, 3), reduction="batchmean"), dtypes=("float32",))
f("poisson_nll_loss", S(T(2, 3), P(2, 3)), S(P(2, 3), P(2, 3), log_input=False, full=True),
   dtypes=("float32",))
f("gaussian_nll_loss", S(T(2, 3), T(2, 3), P(2, 3)), dtypes=("float32",))
f("hinge_embedding_loss", S(T(4), V([1.0, -1.0, 1.0, -1.0], "float64", grad=False)),
  S(V([1, 2, 3]), V([-1, 1, -1]), 2.7, reduction="none"),
  S(V([-1, 0, 3]), V([-1, -1, 1]), 1.7, reduction="sum"), errors=[S(V([1, 2]), V([1, -1]))],
  dtypes=())
f("margin_ranking_loss", S(T(4), T(4), V([1.0, -1.0, 1.0, -1.0], "float64", grad=False)), dtypes=())
f("cosine_embedding_loss", S(T(2, 3), T(2, 3), V([1.0, -1.0], "float64", grad=False)), dtypes=())
f("triplet_margin_loss", S(T(2, 3), T(2, 3), T(2, 3)), dtypes=())
f("soft_margin_loss", S(T(4), V([1.0, -1.0, 1.0, -1.0], "float64", grad=False)), dtypes=())
f("multi_margin_loss", S(T(4, 3), I(4, high=3)), dtypes=(), second=False)
f("multilabel_soft_margin_loss", S(T(2, 3), T(2, 3, low=0, high=1, grad=False)), dtypes=())

layers = {"dtypes": ("float32",), "rtol": 10.0}
f("conv1d", S(T(2, 2, 6), T(3, 2, 3)),
   S(T(2, 2, 6), T(4, 1, 3), T(4), stride=2, padding=1, groups=2),
   S(T(1, 2, 8), T(3, 2, 2), dilation=2), **layers)
f("conv2d", S(T(2, 2, 5, 5), T(3, 2, 3, 3)),
   S(T(1, 2, 5, 5), T(3, 2, 3, 3), T(3), stride=2, padding=1),
   S(T(1, 4, 5, 5), T(4, 2, 2, 2), T(4), groups=2),
   S(T(1, 2, 6, 6), T(2, 2, 2, 3), dilation=2, padding=(1, 2)),
   S(T(1, 2, 5, 5), T(3, 2, 3, 3), padding="same"), S(T(2, 4, 4), T(3, 2, 3, 3)),
   errors=[S(T(1, 3, 5, 5), T(3, 2, 3, 3)), S(T(1, 2, 2, 2), T(3, 2, 3, 3))], **layers)
f("conv3d", S(T(1, 2, 3, 4, 4), T(2, 2, 2, 2, 2)), **layers)
f("conv_transpose1d", S(T(1, 2, 4), T(2, 3, 3)),
   S(T(1, 2, 4), T(2, 3, 3), T(3), stride=2, padding=1, output_padding=1), **layers)
f("conv_transpose2d", S(T(1, 2, 3, 3), T(2, 3, 3, 3)),
   S(T(1, 2, 3, 3), T(2, 3, 3, 3), T(3), stride=2, padding=1, output_padding=1), **layers)
f("max_pool1d", S(T(1, 2, 6, distinct=True), 2), S(T(1, 2, 6, distinct=True), 3, 1, 1), **layers)
f("max_pool2d", S(T(1, 2, 4, 4, distinct=True), 2), S(T(1, 2, 5, 5, distinct=True), 3, 2, 1),
   S(T(1, 2, 5, 5, distinct=True), 2, ceil_mode=True),
   S(T(1, 2, 4, 4, distinct=True), 2, return_indices=True), S(T(2, 4, 4, distinct=True), (2, 1)),
   errors=[S(T(1, 1, 4, 4), 2, 2, 3)], **layers)
f("avg_pool1d", S(T(1, 2, 6), 2), S(T(1, 2, 6), 3, 1, 1), **layers)
f("avg_pool2d", S(T(1, 2, 4, 4), 2), S(T(1, 2, 5, 5), 3, 2, 1),
   S(T(1, 2, 5, 5), 3, 2, 1, count_include_pad=False), S(T(1, 2, 5, 5), 2, ceil_mode=True),
   **layers)
f("adaptive_avg_pool1d", S(T(1, 2, 6), 3), S(T(1, 2, 5), 2), **layers)
f("adaptive_avg_pool2d", S(T(1, 2, 5, 4), 2), S(T(1, 2, 4, 4), (1, None)), **layers)
thirds = T(1, 2, 2, grad=False, low=0.1, high=0.9)
f("fractional_max_pool2d fractional_max_pool2d_with_indices",
   S(T(1, 2, 7, 8, distinct=True), 2, (3, 4), _random_samples=thirds),
   S(T(2, 7, 8, distinct=True), (2, 3), None, (0.5, 0.4), True, thirds),
   errors=[S(T(1, 2, 4, 4), 2), S(T(1, 2, 4, 4), 3, 4)], dtypes=FLOATS)
f("fractional_max_pool3d fractional_max_pool3d_with_indices",
   S(T(1, 1, 4, 5, 4, distinct=True), (2, 2, 1), (2, 3, 2),
     _random_samples=T(1, 1, 3, grad=False, low=0.1, high=0.9)),
   S(T(0, 1, 4, 5, 4), (2, 2, 1), output_size=(2, 3, 2)), dtypes=FLOATS)
f("adaptive_max_pool2d", S(T(1, 2, 5, 4, distinct=True), 2), **layers)
f("batch_norm", S(T(4, 2), None, None, P(2), T(2), True),
   S(T(4, 2, 3), T(2, grad=False), P(2, grad=False)),
   S(T(2, 2, 3, 3), None, None, training=True, eps=0.1), **layers)
f("layer_norm", S(T(2, 3), (3,)), S(T(2, 2, 3), (2, 3), T(2, 3), T(2, 3)),
   S(T(2, 3), (3,), T(3), eps=0.1),
   errors=[S(T(2, 3), (2,)), S(V([1j, 2], "complex64"), (2,)), S(V([1, 2]), (2,))], **layers)
f("group_norm", S(T(2, 4, 3), 2), S(T(2, 4, 3), 4, T(4), T(4)),
   errors=[S(V([[[1j, 2]]], "complex64"), 1)], **layers)
f("instance_norm", S(T(2, 2, 4)), S(T(2, 2, 4), weight=T(2), bias=T(2)),
   errors=[S(V([[[1j, 2]]], "complex64"))], **layers)
f("local_response_norm", S(T(1, 4, 3), 2), **layers)
f("unfold", S(T(1, 2, 4, 4), 2), S(T(1, 2, 4, 4), 3, padding=1, stride=2), **layers)
f("fold", S(T(1, 8, 9), (4, 4), 2), **layers)
f("interpolate", S(T(1, 2, 3, 3), scale_factor=2), S(T(1, 2, 3, 3), size=(5, 4), mode="bilinear"),
   S(T(1, 2, 3, 3), size=5, mode="bilinear", align_corners=True),
   S(T(1, 2, 4), size=6, mode="linear"),
   S(I(1, 1, 6, 7, high=256, dtype="uint8"), size=(4, 9), mode="bilinear"),
   S(I(1, 5, 6, 7, high=256, dtype="uint8"), size=4, mode="bicubic", antialias=True), **layers)
f("pixel_shuffle", S(T(1, 4, 2, 2), 2), **layers)
f("pixel_unshuffle", S(T(1, 1, 4, 4), 2), **layers)
f("scaled_dot_product_attention", S(T(2, 3, 4), T(2, 5, 4), T(2, 5, 4)),
   S(T(2, 3, 4), T(2, 3, 4), T(2, 3, 4), is_causal=True), S(T(2, 3, 4), T(2, 5, 4), T(2, 5, 4),
   attn_mask=V([[True, True, False, True, True]] * 3, "bool")), **layers)
f("rms_norm", S(T(2, 3), (3,)), S(T(2, 3), (3,), T(3), 0.1), **layers)
f("conv_transpose3d", S(T(1, 2, 2, 2, 2), T(2, 1, 2, 2, 2)), **layers)
f("conv_tbc", S(T(5, 2, 3), T(2, 3, 2), T(2)), **layers)
f("avg_pool3d max_pool3d", S(T(1, 1, 4, 4, 4, distinct=True), 2), **layers)
f("adaptive_avg_pool3d adaptive_max_pool3d", S(T(1, 1, 4, 4, 4, distinct=True), 2), **layers)
f("adaptive_max_pool1d", S(T(1, 2, 5, distinct=True), 2), **layers)
f("lp_pool1d", S(P(1, 2, 6), 2, 3), **layers)
f("lp_pool2d", S(P(1, 2, 4, 4), 2, 2), **layers)
f("max_unpool1d", S(T(1, 1, 2), V([[[1, 3]]]), 2), **layers)
f("channel_shuffle", S(T(1, 4, 2, 2), 2), **layers)
f("pdist", S(T(4, 2)), second=False, **layers)
f("multilabel_margin_loss", S(T(2, 4), V([[3, 0, -1, 1], [1, 2, -1, 0]])), second=False, **layers)
f("triplet_margin_with_distance_loss", S(T(2, 3), T(2, 3), T(2, 3)), **layers)
f("embedding_bag", S(I(2, 3, high=4), T(4, 2)), S(I(5, high=4), T(4, 2), V([0, 2])), second=False,
  **layers)
f("affine_grid", S(T(1, 2, 3), (1, 1, 3, 4), align_corners=False), **layers)
f("grid_sample", S(T(1, 1, 4, 4), T(1, 3, 3, 2, low=-0.9, high=0.9), align_corners=False),
  second=False, differences=False, **layers)
f("upsample upsample_nearest", S(T(1, 1, 3, 3), scale_factor=2), **layers)
f("ctc_loss", S(T(4, 1, 3, low=-3, high=-0.2), V([[1, 2]]), V([4]), V([2])), second=False,
  differences=False, **layers)
f("relu_ elu_ selu_ celu_ leaky_relu_ hardtanh_", S(T(2, 3)), grad=False)
f("dropout1d", S(T(1, 2, 3), 0.0), **layers)
f("alpha_dropout", S(T(2, 3), 0.5, False), **layers)
