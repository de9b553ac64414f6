"""MLflow's registry: its address, the content of a version, the choice of the champion. The only user of MLflow."""
