"""Random training steps that compiled and eager code must agree on.

program.py     a program: lines of Python in the public API, and how it is run
growth.py      growing a program while it runs eagerly
makers_*.py    where its lines come from
observe.py     a program's calls, eager or compiled, and all that a user could see after each
compare.py     two observations: the first difference; the graph on three backends
shrink.py      the shortest program that still shows a difference
worker.py      checks seeds in a process of its own, which may crash or hang
run.py         python -m tests.compiler.fuzz.run --start 0 --count 1000
"""
