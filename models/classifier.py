"""One network class for every family: a stock sequence classifier whose final layer is replaced by heads."""

import copy
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import cast

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from errors import UserError
from models.attention_scores import scores_returned
from models.families import family_of
from models.first_token import first_token_only
from models.heads import HeadSpec, head_name, new_linear
from models.model_outputs import Outputs

FEW = 4
"""Products of fewer rows are done by kernels that sum in another order. One token of so few inputs saves little, and would
show: two processes that share four rows would learn something else than one, by last bits that a policy amplifies."""


class Classifier(nn.Module):
    """A backbone with one head per dataset; `export` returns the stock model of one dataset.

    The stock model's final linear layer becomes `nn.Identity`, so what the stock model calls logits is the
    pooled representation (B, H). `stock` is taken over and changed: do not use it afterwards.
    """

    def __init__(self, stock: PreTrainedModel, spec: HeadSpec) -> None:
        super().__init__()
        self.spec = spec
        self.family = family_of(stock.config)
        final = cast(nn.Linear, stock.get_submodule(self.family.final))
        if final.out_features != spec.num_outputs:
            raise UserError(
                f"dataset {spec.dataset!r} needs {spec.num_outputs} outputs, the model has {final.out_features}"
            )
        self._has_bias = final.bias is not None
        self.hidden_size: int = final.in_features
        stock.set_submodule(self.family.final, nn.Identity())
        spec.write_to(stock.config)
        if self.family.last_token:
            stock.config.use_cache = False  # keys and values of past tokens only serve generation
        self.backbone = stock
        self.heads = nn.ModuleDict()
        self._attach(spec.dataset, final)
        self.projection: nn.Linear | None = None
        # Off, a pass is the stock model's to the bit, whatever the kernels.
        self.first_token_only = True
        self.train(stock.training)

    def forward(
        self,
        inputs: dict[str, Tensor],
        *,
        dataset: str,
        choices: int = 1,
        layers: Sequence[int] = (),
        tokens: Sequence[int] = (),
        attentions: Sequence[int] = (),
        embedded: Tensor | None = None,
    ) -> Outputs:
        """Score a batch with the head of `dataset`.

        inputs: `input_ids` and `attention_mask` (B*K, L), `token_type_ids` where the tokenizer makes them; the
        K = `choices` candidates of a row are adjacent. layers: hidden-state indices (0 to `num_layers`)
        whose sequence vectors are wanted; tokens: those whose every token is. attentions: layers (1 to
        `num_layers`) whose attention scores are wanted. embedded: (B*K, L, H), in place of the embeddings of
        the words. Raises UserError for an unknown dataset, layer, or a head whose size does not fit `choices`.

        The last layer runs for the first token alone unless all are asked for, `first_token_only` is off, or there are
        fewer than `FEW` inputs.
        """
        head = self.head_of(dataset)
        self._check(head, dataset, choices, inputs["input_ids"].shape[0], (*layers, *tokens, *attentions))
        every_token = self.family.last_token
        given = self._accepted(inputs) if embedded is None else self._embedded(inputs, embedded)
        hidden = bool(layers) or bool(tokens) or every_token
        with (
            self._last_layer_as_read(tokens, inputs),
            scores_returned(self.backbone.config) if attentions else nullcontext(),
        ):
            scores = {"output_attentions": True} if attentions else {}
            result = self.backbone(**given, output_hidden_states=hidden, **scores)
        positions = self._positions(inputs["input_ids"])
        rows = torch.arange(len(positions), device=positions.device)
        # OPT scores all tokens, then picks one; the other order differs in the last bit in small batches.
        logits = head(result.hidden_states[-1])[rows, positions] if every_token else head(result.logits)
        if choices > 1:
            logits = logits.reshape(-1, choices)
        vectors = {layer: result.hidden_states[layer][rows, positions] for layer in layers}
        return Outputs(
            logits=logits,
            pooled=result.logits,
            vectors=vectors,
            tokens={layer: result.hidden_states[layer] for layer in tokens},
            attentions={layer: result.attentions[layer - 1] for layer in attentions},
            mask=inputs["attention_mask"].bool() if tokens or attentions else None,
        ).in_float32()

    @property
    def dataset(self) -> str:
        """The dataset of this network; other heads serve the curriculum."""
        return self.spec.dataset

    @property
    def num_layers(self) -> int:
        return self.backbone.config.num_hidden_layers

    @property
    def max_length(self) -> int:
        """Maximum input length in tokens."""
        config = self.backbone.config
        padding = -1 if config.pad_token_id is None else config.pad_token_id  # None is refused by `check_tokenizer`
        return self.family.longest(config.max_position_embeddings, padding)

    def head_of(self, dataset: str) -> nn.Linear:
        """The head of a dataset, weight (C, H). Raises UserError, with the known ones, if there is none."""
        if dataset not in self.heads:
            raise UserError(f"no head for dataset {dataset!r}; there are heads for {sorted(self.heads)}")
        return cast(nn.Linear, self.heads[dataset])

    def add_head(self, dataset: str, num_outputs: int, seed: int) -> nn.Linear:
        """Add a head drawn like the family's own, N(0, initializer_range^2), by `seed` and its dataset's name."""
        if dataset in self.heads:
            raise UserError(f"dataset {dataset!r} has a head already")
        std = float(getattr(self.backbone.config, self.family.std_name))
        head = new_linear(
            self.hidden_size, num_outputs, std=std, bias=self._has_bias, seed=seed, name=head_name(dataset)
        )
        self._attach(dataset, head.to(self._device()))
        return head

    def add_projection(self, width: int, seed: int) -> nn.Linear:
        """Add the learned map of the pooled vector to the teacher's width: (B, H) -> (B, width)."""
        std = self.hidden_size**-0.5  # keeps the length of a vector, about
        layer = new_linear(self.hidden_size, width, std=std, bias=True, seed=seed, name="projection")
        self.projection = layer.to(self._device())
        return self.projection

    def state_weight(self) -> Tensor | None:
        """Weight (H, H) of the last square layer before the head: the policy's state. None for OPT."""
        if self.family.state is None:
            return None
        return cast(nn.Linear, self.backbone.get_submodule(self.family.state)).weight

    def export(self, dataset: str | None = None, *, spec: HeadSpec | None = None) -> PreTrainedModel:
        """A copy as the stock model of one dataset (default: this network's own), with the same logits.

        They are the same bit for bit if `first_token_only` of this network is off.

        Label names in the configuration are those of `spec`; without it, this network's own for its own
        dataset, else transformers' placeholders.
        """
        name = dataset or self.dataset
        head = self.head_of(name)
        stock = copy.deepcopy(self.backbone)
        stock.set_submodule(self.family.final, copy.deepcopy(head))
        spec = spec or (self.spec if name == self.dataset else None)
        if spec is not None and spec.num_outputs == head.out_features:
            spec.write_to(stock.config)
        elif spec is not None:
            raise UserError(f"head of {name!r} has {head.out_features} outputs, spec {spec.num_outputs}")
        else:
            names = [f"LABEL_{number}" for number in range(head.out_features)]
            stock.config.id2label = dict(enumerate(names))
            stock.config.label2id = {label: number for number, label in enumerate(names)}
            stock.config.problem_type = None
        vars(stock)["num_labels"] = head.out_features  # the stock model's own copy, used in its loss
        return stock

    def check_tokenizer(self, vocab_size: int, pad_id: int, longest: int) -> None:
        """Raise UserError, with the number that disagrees, for tokens that this network cannot read.

        vocab_size and pad_id are the tokenizer's, longest the longest input in tokens.
        """
        config = self.backbone.config
        if vocab_size > config.vocab_size:
            raise UserError(
                f"the tokenizer has {vocab_size} tokens, the model's embeddings only {config.vocab_size}: "
                "it is another model's tokenizer, or tokens were added to it without resize_token_embeddings"
            )
        # Positions, or the last token, are found by the padding id; other families go by the mask.
        if (self.family.positions_after_padding or self.family.last_token) and pad_id != config.pad_token_id:
            raise UserError(
                f"the tokenizer pads with {pad_id}, {self.family.name} expects {config.pad_token_id}: "
                "it is another model's tokenizer, or its padding token was added later: then set pad_token_id in the "
                f"model configuration to {pad_id}"
            )
        if longest > self.max_length:
            raise UserError(
                f"the inputs have up to {longest} tokens, but the model reads at most {self.max_length}: lower split.max_length"
            )

    def _attach(self, dataset: str, head: nn.Linear) -> None:
        try:
            self.heads[dataset] = head
        except KeyError as error:
            raise UserError(f"dataset name {dataset!r} cannot name a head ({error}): rename it") from error

    def _device(self) -> torch.device:
        return next(self.backbone.parameters()).device

    def _accepted(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Drop token types if the network has only one."""
        if getattr(self.backbone.config, "type_vocab_size", 0) > 1:
            return inputs
        return {name: value for name, value in inputs.items() if name != "token_type_ids"}

    def _embedded(self, inputs: dict[str, Tensor], vectors: Tensor) -> dict[str, Tensor]:
        """The same inputs with vectors (B*K, L, H) in place of word embeddings."""
        kept = {name: value for name, value in self._accepted(inputs).items() if name != "input_ids"}
        return {**kept, "inputs_embeds": vectors}

    def _last_layer_as_read(self, tokens: Sequence[int], inputs: dict[str, Tensor]) -> AbstractContextManager[None]:
        """Within the block, restrict the last layer to the tokens that are read."""
        config, few = self.backbone.config, len(inputs["attention_mask"]) < FEW
        # DeBERTa-v2's convolution reads every token of the first layer, which here is the last one, too.
        convolved = self.num_layers == 1 and getattr(config, "conv_kernel_size", 0) > 0
        if not self.first_token_only or few or self.num_layers in tokens or convolved:
            return nullcontext()
        layers = cast(nn.ModuleList, self.backbone.get_submodule(self.family.layers))
        return first_token_only(layers[-1], self.family.by_token)

    def _positions(self, input_ids: Tensor) -> Tensor:
        """Return the position of each row's sequence vector, (B*K,): the first token, or OPT's last non-padding one."""
        if not self.family.last_token:
            return input_ids.new_zeros(input_ids.shape[0])
        places = torch.arange(input_ids.shape[1], device=input_ids.device)
        return (places * (input_ids != self.backbone.config.pad_token_id)).argmax(dim=1)

    def _check(self, head: nn.Linear, dataset: str, choices: int, size: int, layers: Sequence[int]) -> None:
        if choices > 1 and head.out_features != 1:
            raise UserError(f"head of {dataset!r} has {head.out_features} outputs, a choice needs 1")
        if size % choices:
            raise UserError(f"a batch of {size} inputs is no whole number of rows of {choices} candidates")
        unknown = [layer for layer in layers if not 0 <= layer <= self.num_layers]
        if unknown:
            raise UserError(f"hidden states {unknown} asked, there are 0 (embeddings) to {self.num_layers}")
