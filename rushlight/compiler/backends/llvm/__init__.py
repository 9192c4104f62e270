"""Native code through llvmlite, the only package here that imports it (when a program is built,
never before).
"""
