"""MLflow's registry: where it is, what a version holds, and which version is the champion. The only place with MLflow."""
