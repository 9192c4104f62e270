"""Processes of a program that ``torchrun`` starts: there is one."""
