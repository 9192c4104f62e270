"""Random programs that torch and rushlight must agree on.

common.py       what is shared with the fuzzer of the compiler: drawing, counts of what was found
program.py      a step, and how it is performed on a library
growth.py       growing a program while it runs on torch
makers_*.py     where its steps come from: what makes tensors, what changes them
generate.py     the random program of a seed
watch.py        which tensors share memory, or came from where torch is not exact
observe.py      run a program on a library and note everything that a user could see
compare.py      two observations: the first difference, as a `Mismatch`
footguns.py     differences that are accepted, each with its reason and how it is recognised
shrink.py       the shortest program that still shows a mismatch, written as Python
run.py          python -m tests.fuzz.run --start 0 --count 1000
test_found.py   what it found, repaired since
"""
