"""Random networks and loops that train them, on which torch and rushlight must agree: run eagerly,
with the step compiled, and with the model compiled.

texts.py       what programs are made of: lines of layers, losses, optimizers, loops
generate.py    the random program of a seed: a network, grown while it runs on torch, and its loop
observe.py     a program run by a library, and all that it let be seen
compare.py     two runs: the first difference, unless rounding alone would make as much
shrink.py      the shortest program that still shows a difference
run.py         python -m tests.training.fuzz.run --start 0 --count 100
"""
