"""tinypareto: a Pareto front of int8 firmwares from a PyTorch model, in as few trainings as possible."""
