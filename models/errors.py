"""The one error of this folder: a model, checkpoint or tokenizer that cannot be used as asked."""


class ModelError(ValueError):
    """A model cannot be built, loaded or stored; one line that says what was given and the way out."""
