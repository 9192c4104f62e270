"""``torch.``'s own forms of layers and losses: weights before statistics, reductions as numbers (0
none, 1 mean, 2 sum), and arguments that ``nn.functional`` supplies.
"""

from tests.ops.samples import FLOATS, I, P, S, T, V, op

# fmt: off

layers = {"complex_grad": False, "dtypes": ("float32",), "rtol": 20}

# ---- convolutions and pools

op("conv1d", S(T(2, 2, 6), T(3, 2, 3), T(3), 2, 1), S(T(2, 6), T(2, 1, 3), None, 1, "same", 1, 2),
   errors=[S(T(2, 2, 6), T(3, 1, 3)), S(T(2, 2, 6), T(3, 2, 3), padding="other")], **layers)
op("conv2d", S(T(1, 2, 5, 4), T(3, 2, 3, 2), T(3), (1, 2), (1, 0)),
   S(T(1, 4, 5, 4), T(4, 2, 3, 2), groups=2, dilation=(2, 1)),
   errors=[S(T(1, 2, 5, 4), T(3, 1, 3, 2)), S(T(1, 2, 5, 4), T(3, 2, 3, 2), T(2))], **layers)
op("conv3d", S(T(1, 2, 3, 4, 3), T(2, 2, 2, 2, 2), T(2), 1, 1), errors=[S(T(2, 2), T(2, 2))],
   **layers)
op("conv_transpose1d", S(T(2, 2, 4), T(2, 3, 3), T(3), 2, 1, 1),
   errors=[S(T(2, 2, 4), T(3, 3, 3))], **layers)
op("conv_transpose2d", S(T(1, 2, 3, 4), T(2, 2, 3, 2), None, (2, 1), 0, 0, 1, (1, 2)),
   errors=[S(T(1, 2, 3, 4), T(3, 2, 3, 2))], **layers)
op("conv_transpose3d", S(T(1, 2, 2, 3, 2), T(2, 1, 2, 2, 2), T(1)),
   errors=[S(T(1, 2, 2, 3, 2), T(3, 1, 2, 2, 2))], **layers)
op("conv_tbc", S(T(5, 2, 3), T(2, 3, 2), T(2)), S(T(5, 2, 3), T(3, 3, 2), T(2), 1), out=False,
   **layers)
op("avg_pool1d", S(T(1, 2, 7), 3), S(T(2, 7), 2, 3, 1, True, False), errors=[S(T(2, 7), 2, 1, 2)],
   **layers)
op("adaptive_avg_pool1d", S(T(1, 2, 7), 3), S(T(2, 7), [2]), errors=[S(T(7), 2)], **layers)
op("adaptive_max_pool1d", S(T(1, 2, 7, distinct=True), 3), S(T(2, 7, distinct=True), [2]),
   out=False, **layers)
for rank, sizes in (1, (7,)), (2, (5, 6)), (3, (4, 5, 4)):
    x = T(1, 2, *sizes, distinct=True)
    op(f"max_pool{rank}d", S(x, 2), S(x, 3, 2, 1, 1, True), errors=[S(x, 2, 1, 2), S(T(3), 2)],
       **layers)
op("max_pool1d_with_indices", S(T(1, 2, 7, distinct=True), 3, 2, 1), **layers)
op("channel_shuffle", S(T(1, 4, 2, 2), 2), errors=[S(T(1, 3, 2), 2)], oracle=False, **layers)
op("pixel_shuffle", S(T(1, 4, 2, 3), 2), S(T(1, 4, 2, 3), 1), S(T(2, 4, 1, 1), 2),
   errors=[S(T(1, 3, 2, 2), 2), S(T(2), 2)], **layers)
op("pixel_unshuffle", S(T(1, 1, 4, 6), 2), S(T(1, 1, 4, 6), 1), S(T(2, 1, 2, 2), 2),
   errors=[S(T(1, 1, 3, 2), 2)], **layers)

# ---- norms

kept = T(2, grad=False), P(2, grad=False)  # of training before
op("batch_norm", S(T(4, 2, 3), P(2), T(2), None, None, True, 0.1, 1e-5, False),
   S(T(4, 2), None, None, *kept, False, 0.1, 1e-3, True), **layers)
op("instance_norm", S(T(2, 2, 5), P(2), T(2), None, None, True, 0.1, 1e-5, False),
   S(T(2, 2, 5), None, None, *kept, False, 0.1, 1e-5, False), **layers)
op("layer_norm", S(T(2, 3), (3,), P(3), T(3)), S(T(2, 2, 3), (2, 3), None, None, 0.1, False),
   errors=[S(T(2, 3), (2,))], **layers)
op("group_norm", S(T(2, 4, 3), 2, P(4), T(4)), S(T(2, 4), 4, None, None, 0.1, False),
   errors=[S(T(2, 3, 3), 2)], **layers)
op("rms_norm", S(T(2, 3), (3,), P(3)), S(T(2, 2, 3), (2, 3), None, 0.1), errors=[S(T(2, 3), (2,))],
   **layers)

# ---- activations, distances, embeddings

op("celu", S(T(2, 3)), S(T(2, 3), 0.5), dtypes=FLOATS, complex_grad=False)
op("selu", S(T(2, 3)), dtypes=FLOATS, complex_grad=False)
op("cosine_similarity", S(P(2, 3), P(2, 3)), S(P(2, 3), P(3), -1, 1e-4), **layers)
op("pairwise_distance", S(P(2, 3), T(2, 3)), S(P(2, 3), T(3), 1.5, 1e-3, True), **layers)
op("pdist", S(T(4, 3, distinct=True)), S(T(4, 3, distinct=True), 1.5), errors=[S(T(4))],
   second=False, **layers)
op("bilinear", S(T(2, 3), T(2, 4), T(2, 3, 4), T(2)), S(T(2, 2, 3), T(2, 2, 3), T(1, 3, 3)),
   errors=[S(T(2, 3), T(2, 4), T(2, 4, 3))], **layers)
op("embedding", S(T(5, 3), I(2, 2, high=5)), S(T(5, 3), I(4, high=5), 1, True),
   errors=[S(T(5, 3), T(2)), S(T(5, 3), V([5]))], out=False, **layers)
bags = V([0, 2])
op("embedding_bag", S(T(5, 3), I(4, high=5), bags), S(T(5, 3), I(4, high=5), bags, False, 1),
   S(T(5, 3, distinct=True), I(4, high=5), bags, False, 2),
   S(T(5, 3), I(4, high=5), bags, False, 0, False, T(4)), second=False, **layers)

# ---- losses

N = 2, 3
op("binary_cross_entropy_with_logits", S(T(*N), P(*N, grad=False)),
   *[S(T(*N), P(*N, grad=False), None, None, r) for r in (0, 1, 2)],
   S(T(*N), P(*N, grad=False), P(3, grad=False), P(3, grad=False)),
   out=False, **layers)
op("kl_div", S(T(*N), P(*N)), *[S(T(*N), P(*N), r) for r in (0, 1, 2)],
   S(T(*N), T(*N), 2, log_target=True), **layers)
op("hinge_embedding_loss", *[S(P(4), V([1.0, -1, 1, -1], "float64", grad=False), 3.0, r)
   for r in (0, 1, 2)], **layers)
op("margin_ranking_loss", *[S(T(4), T(4), V([1.0, -1, 1, -1], "float64", grad=False), 0.5, r)
   for r in (0, 1, 2)], **layers)
op("cosine_embedding_loss", *[S(P(2, 3), T(2, 3), V([1.0, -1], "float64", grad=False), 0.1, r)
   for r in (0, 1, 2)], **layers)
op("poisson_nll_loss", *[S(P(4), P(4, grad=False), log, full, 1e-8, r)
   for log, full, r in ((True, False, 1), (False, True, 2), (True, True, 0))], **layers)
op("triplet_margin_loss", *[S(T(2, 3), T(2, 3), T(2, 3), 1.0, 2.0, 1e-6, swap, r)
   for swap, r in ((False, 1), (True, 2), (False, 0))], **layers)
scores = T(5, 2, 3), V([[1, 2], [2, 1]]), V([5, 4]), V([2, 1])
op("ctc_loss", S(*scores), *[S(*scores, 0, r, True) for r in (0, 1, 2)], second=False,
   differences=False, **layers)
