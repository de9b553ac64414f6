"""Records of the stages under outputs/ as pydantic classes, one module for the stages that read and write it."""
