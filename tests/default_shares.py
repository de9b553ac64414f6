"""Shares of the splits by the defaults of params.yaml's section `split`."""

from config.stages import Split
from tasks.split import shares_of

SHARES = shares_of(Split(quiz_joins_train=False, quiz_kept_from=None, tokenizer="quickstart"))
