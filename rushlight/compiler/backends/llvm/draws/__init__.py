"""Random numbers from the Mersenne Twister of an engine, see core/mt19937.py.

A kernel finds the stream at the engine's desk: the twister's 624 words, the block of words that it
yielded last, and how many of these are used up. It is one unit, since each word depends on those
before it. In the order in which to read it:

- ``twister``: words, and drawing as many as are needed
- ``uniform``: what words give without more; ``exact``: formulas in float64; ``normals``
"""
