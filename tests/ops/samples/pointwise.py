"""Elementwise functions."""

from tests.ops.samples import FLOATS, REALS, B, I, P, S, T, V, op

# fmt: off

unary = [S(T(2, 3)), S(T()), S(T(0, 3)), S(T(3, 2, transposed=True))]
op("sin cos tanh exp sigmoid square neg negative abs absolute sgn expm1 sinh cosh atan "
   "arctan asinh", *unary)
op("positive erf sinc deg2rad rad2deg exp2 sign relu", *unary, complex_grad=False)
op("floor ceil round trunc fix frac", *unary, complex_grad=False)
op("isnan isinf isfinite isreal signbit isposinf isneginf logical_not", *unary, grad=False)
op("tan acos asin arcsin arccos atanh arctanh erfinv", S(T(2, 3, low=-0.8, high=0.8)),
   S(T(low=-0.5, high=0.5)))
op("log log2 log10 log1p sqrt rsqrt reciprocal", S(P(2, 3)), S(P()), S(P(0)),
   S(P(3, 2, transposed=True)))
op("lgamma digamma", S(P(2, 3)), S(P()), complex_grad=False)
op("acosh arccosh", S(T(2, 3, low=1.2, high=3)))
op("erfc i0", S(T(2, 3)), complex_grad=False)
op("logit", S(T(2, 3, low=0.1, high=0.9)), S(T(2, 3, low=0.0, high=1.0), eps=0.2),
   complex_grad=False)
op("bitwise_not", S(I(2, 3, high=9)), S(B(2, 3)), errors=[S(T(2, dtype="float64"))], grad=False,
   base="int64", dtypes=("bool", "uint8", "int8", "int32"))
op("angle", S(T(2, 3)), S(P(2)), complex_grad=False)
op("conj conj_physical resolve_conj resolve_neg", S(T(2, 3)), S(T(2)), inplace=False)
op("nan_to_num", S(V([1.0, float("nan"), float("inf"), -float("inf")], "float64")),
   S(V([float("nan"), float("inf")], "float64"), nan=1.0, posinf=2.0), dtypes=())
op("polygamma", S(1, P(2, 3)), S(0, P(2)), complex_grad=False, inplace=False)
op("mvlgamma", S(T(2, 3, low=2, high=4), 2), complex_grad=False)

binary = [S(T(2, 3), T(2, 3)), S(T(2, 3), T(3)), S(T(2, 1), T(1, 3)), S(T(2, 3), T()), S(T(), T()),
    S(T(2, 3), 2), S(T(2, 3), 0.5), S(T(0, 3), T(3)), S(T(3, 2, transposed=True), T(3, 2)),
    S(T(2, 3), T(2, 3, dtype="float32")), S(T(2, 3), I(2, 3, high=4))]
wrong = [S(T(2, 3), T(2)), S(T(2, 3), T(4, 1)), S(T(2), "a")]
op("add sub subtract", *binary, S(T(2, 3), T(3), alpha=2), S(T(2, 3), T(3), alpha=0.5),
   errors=wrong)
op("mul multiply", *binary, errors=wrong)
positive = [S(T(2, 3), P(2, 3)), S(T(2, 3), P(3)), S(T(2, 1), P(1, 3)), S(T(2, 3), 2), S(T(), P())]
op("div divide true_divide", *positive, errors=wrong)
op("floor_divide", *positive, grad=False, errors=wrong, dtypes=REALS)
op("remainder fmod", *positive, S(T(2, 3), -0.7), S(I(2, 3, low=-5, high=5), 3), errors=wrong[:2],
   complex_grad=False)
op("rsub", S(T(2, 3), T(3)), S(T(2, 3), 2), S(T(2, 3), T(3), alpha=2))
op("maximum minimum fmax fmin", *[s for s in binary if not isinstance(s.args[1], (int, float))],
   errors=wrong, complex_grad=False)
op("atan2 arctan2 hypot logaddexp logaddexp2", S(T(2, 3), T(2, 3)), S(T(2, 3), T(3)), S(T(), T()),
   errors=wrong, complex_grad=False)
op("copysign", S(T(2, 3), T(2, 3)), S(T(2, 3), -1.0), complex_grad=False)
op("nextafter", S(T(2, 3), T(2, 3)), grad=False)
op("heaviside", S(T(2, 3), T(2, 3)), grad=False, dtypes=REALS)
op("xlogy", S(T(2, 3), P(2, 3)), S(T(2, 3), 0.5), S(0.5, P(2, 3)), complex_grad=False)
op("ldexp", S(T(2, 3), I(3, high=3)), grad=False)
op("float_power", S(P(2, 3), T(2, 3)), S(P(2, 3), 2), S(2.0, T(2, 3)), inplace=False)
op("pow", S(P(2, 3), T(2, 3)), S(P(2, 3), T(3)), S(T(2, 3), 2), S(T(2, 3), 3), S(P(2, 3), 0.5),
   S(T(2, 3), 0), S(2.0, T(2, 3)), S(T(2, 3), 1), S(P(2, 3), -1), S(P(2, 3), -2.5),
   errors=[S(T(2, 3), T(2)), S(I(2, high=3), -1)],
   dtypes=("uint8", "int32", "int64", *FLOATS, "complex64", "complex128"))
op("eq ne lt le gt ge not_equal less less_equal greater greater_equal", *binary, errors=wrong[:2],
   grad=False)
op("isclose", S(T(2, 3), T(2, 3)), S(T(2, 3), T(2, 3), rtol=0.5, atol=0.1), grad=False)
op("allclose equal", S(T(2, 3), T(2, 3)), S(P(2), P(2)), grad=False, inplace=False)
op("logical_and logical_or logical_xor", S(T(2, 3), T(2, 3)), S(B(2, 3), B(3)), S(T(2, 3), B(3)),
   grad=False, errors=wrong[:2])
bits = [S(I(2, 3, high=9), I(2, 3, high=9)), S(I(2, 3, high=9), 3), S(B(2, 3), B(3)),
    S(I(2, 3, high=9), I(3, high=5))]
op("bitwise_and bitwise_or bitwise_xor", *bits, grad=False,
   errors=[S(T(2, dtype="float64"), T(2, dtype="float64"))], base="int64",
   dtypes=("bool", "uint8", "int8", "int32"))
op("bitwise_left_shift bitwise_right_shift", S(I(2, 3, high=9), I(2, 3, high=3)),
   S(I(2, 3, high=9), 2), grad=False, base="int64", dtypes=())
op("gcd lcm", S(I(2, 3, low=1, high=30), I(2, 3, low=1, high=30)),
   S(I(3, low=-9, high=9), I(3, low=-9, high=9)), grad=False, base="int64", dtypes=())

op("clamp clip", S(T(2, 3), -0.5, 0.5), S(T(2, 3), min=-0.5), S(T(2, 3), max=0.5),
   S(T(2, 3), T(3, low=-2, high=-1), T(3, low=1, high=2)), S(T(2, 3), T(2, 3), None),
   S(T(2, 3), -1, 1), errors=[S(T(2, 3))], complex_grad=False)
op("clamp_min clamp_max", S(T(2, 3), 0.3), S(T(2, 3), T(3)), complex_grad=False)
op("where", S(B(2, 3), T(2, 3), T(2, 3)), S(B(2, 3), T(3), T()), S(B(3), T(2, 3), 1.5),
   S(B(3), 1.0, 2.0), S(B(2, 3)), S(B(2, 3), T(2, 3), T(2, 3, dtype="float32")),
   errors=[S(B(2), T(3), T(3)), S(T(2, 3), T(2, 3), T(2, 3))], inplace=False)
op("lerp", S(T(2, 3), T(2, 3), 0.3), S(T(2, 3), T(2, 3), 0.8), S(T(2, 3), T(2, 3), T(2, 3)),
   S(T(2, 3), T(3), T()), errors=[S(T(2, 3), T(4), 0.5)])
op("addcmul", S(T(2, 3), T(2, 3), T(2, 3)), S(T(2, 3), T(3), T(2, 1), value=0.5),
   errors=[S(T(2, 3), T(4), T(3))])
op("addcdiv", S(T(2, 3), T(2, 3), P(2, 3)), S(T(2, 3), T(3), P(2, 1), value=0.5),
   errors=[S(I(2, high=3), I(2, high=3), I(2, low=1, high=3))])
op("threshold", S(T(2, 3), 0.2, 1.0), complex_grad=False, dtypes=FLOATS)
op("complex polar", S(P(2, 3), T(2, 3)), errors=[S(T(2), T(2, dtype="float32"))],
   dtypes=("float32",))
op("frexp", S(P(2, 3)), grad=False, dtypes=FLOATS)
op("igamma igammac", S(P(2, 3), P(2, 3)), grad=False, dtypes=("float32",))
op("hardshrink", S(T(2, 3)), S(T(2, 3), 0.2), complex_grad=False, dtypes=FLOATS)
op("arcsinh", *unary)
op("prelu", S(T(2, 3), T(3)), complex_grad=False, dtypes=("float32",))
rounded = {"differences": False, "complex_grad": False, "second": False, "base": "float32",
    "dtypes": ("float16", "bfloat16")}
op("fake_quantize_per_tensor_affine", S(T(2, 3), 0.1, 3, -8, 20),
   S(T(2, 3), P(1, grad=False), V(2), 0, 15), S(T(2, 3), P(grad=False), 2, 0, 15),
   S(T(), 0.25, 0, -4, 4), S(T(0, 3), 0.1, 0, 0, 9),
   S(V([0.05, -0.05, 0.15, -0.0, float("nan"), float("inf")], "float32"), 0.1, 0, -3, 5),
   errors=[S(T(2), 0.1, 0, 5, -5), S(T(2), 0.1, 9, -5, 5), S(I(2, high=4), 0.1, 0, 0, 5),
           S(T(2), P(2, grad=False), V([0]), 0, 5), S(T(2), 0.1, 0.5, 0, 5),
           S(T(2), P(grad=False), V([0, 0]), 0, 5)], **rounded)
channels = P(3, dtype="float32", grad=False), V([1, 2, 0], "int32")
op("fake_quantize_per_channel_affine", S(T(2, 3), *channels, 1, 0, 15),
   S(T(3, 2, transposed=True), *channels, 0, -5, 3), S(T(3, 0), *channels, 0, 0, 9),
   S(T(3), channels[0], V([1.25, 0, 2], "float32", grad=False), 0, 0, 3),
   errors=[S(T(2, 3), *channels, 0, 0, 15), S(T(2, 3), *channels, -1, 0, 15),
           S(T(2, 3), *channels, 2, 0, 15),
           S(T(2, 3), *channels, 1, 1, 15), S(T(2, 3), *channels, 1, 5, 0),
           S(T(2, 3), channels[0], V([1, 2, 0]), 1, 0, 15), S(T(), *channels, 0, 0, 15),
           S(T(2, 3), P(3, dtype="float64"), channels[1], 1, 0, 15),
           S(T(2, 3), P(3, 1, dtype="float32"), channels[1], 1, 0, 15)], **rounded)
