"""What people write, made into a graph or a step's code."""
