"""The search: arrays in, a suggestion out. Knows neither Optuna nor networks."""
