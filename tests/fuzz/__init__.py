"""Random programs that torch and rushlight must agree on.

program.py    a step, and how it is performed on a library
generate.py   random steps that fit what exists, grown while they run on torch
observe.py    run a program on a library and note everything that a user could see
compare.py    two observations: the first difference, as a `Mismatch`
footguns.py   differences that are accepted, each with its reason and how it is recognised
shrink.py     the shortest program that still shows a mismatch, written as Python
run.py        python -m tests.fuzz.run --start 0 --count 1000
"""
