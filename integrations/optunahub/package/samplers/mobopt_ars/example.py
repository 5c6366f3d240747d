"""Two objectives, four parameters and one constraint, 30 trials."""

import optuna
import optunahub


def objective(trial: optuna.Trial) -> tuple[float, float]:
    """Trade the distance to one point for the distance to another."""
    x = trial.suggest_float("x", 0.0, 5.0)
    y = trial.suggest_float("y", 0.0, 3.0)
    steps = trial.suggest_int("steps", 1, 4)
    kind = trial.suggest_categorical("kind", ["round", "square"])
    trial.set_constraint("disc", (x - 5.0) ** 2 + y**2 - 25.0)
    penalty = 0.1 * steps + (0.5 if kind == "square" else 0.0)
    return 4.0 * x**2 + 4.0 * y**2 + penalty, (x - 5.0) ** 2 + (y - 5.0) ** 2 + penalty


if __name__ == "__main__":
    sampler = optunahub.load_module("samplers/mobopt_ars").ARSSampler(seed=0)
    study = optuna.create_study(directions=["minimize", "minimize"], sampler=sampler)
    study.optimize(objective, n_trials=30)
    for best in study.best_trials:
        print(best.number, best.values, best.params)
