"""Graph to graph: each file is one pure function, which leaves its argument as it was."""
