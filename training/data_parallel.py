"""Data parallelism over rows: each process runs its share of a batch, and all outputs are gathered everywhere.

`batch_size` counts the rows of a step whatever the number of processes, and a loss never knows of them: it reads the
outputs of all rows, gathered, on every process. So terms that couple the rows of a batch (`dist`), means over tokens
(`tinybert`, `ckd`) and rewards are what they are in one process, and so are the curves, on every process. Backward, a
process's rows get their part of the gradient, times the number of processes; `average` takes the mean over processes of
what came out, which is the gradient of the one loss, for a network that ran on a share and for a layer that read all rows.

Gradients are averaged here and not by a wrapper with hooks: those never see `autograd.grad`, want every parameter in every
step (the curriculum's heads play no part in most), and know nothing of a projection that is applied to gathered rows.
Where a network trains alone and its parameters are to be split, FSDP's are used: see training.fsdp.
In one process nothing of this does anything.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor

from models.model_outputs import Outputs
from seeds import start_own_process

BUCKET = 2**24
"""Numbers averaged per message: few messages, and a small copy beside the gradients."""


def count() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def number() -> int:
    """This process's rank."""
    return dist.get_rank() if count() > 1 else 0


def is_first() -> bool:
    """Return whether this is the main process."""
    return number() == 0


def draw_own_dropout() -> None:
    """Reseed dropout per process; call it after weights are drawn, which must be equal."""
    if not is_first():
        start_own_process(number())


def share(rows: int, number: int, count: int) -> slice:
    """Return this process's contiguous share of `rows` rows; shares differ by at most one row and may be empty."""
    return slice(rows * number // count, rows * (number + 1) // count)


def run_shared(
    network: Callable[..., Outputs],
    inputs: dict[str, Tensor],
    *,
    dataset: str,
    choices: int = 1,
    **wanted: Sequence[int],
) -> Outputs:
    """A network's outputs (`Classifier.forward`) for all B rows of a batch, each process running its share.

    Every process must call it with the same batch. A process without a row runs the first one for company: what it says is
    left out, but all take the same steps.
    """
    if count() == 1:
        return network(inputs, dataset=dataset, choices=choices, **wanted)
    rows = len(inputs["input_ids"]) // choices
    mine = share(rows, number(), count())
    encoded = slice(mine.start * choices, max(mine.stop, mine.start + 1) * choices)
    if mine.start == rows:
        encoded = slice(0, choices)
    own = network({name: value[encoded] for name, value in inputs.items()}, dataset=dataset, choices=choices, **wanted)

    def inputs_of(values: dict[int, Tensor]) -> dict[int, Tensor]:
        return {key: all_rows(value, rows, choices) for key, value in values.items()}

    return Outputs(
        logits=all_rows(own.logits, rows),
        pooled=all_rows(own.pooled, rows, choices),
        vectors=inputs_of(own.vectors),
        tokens=inputs_of(own.tokens),
        attentions=inputs_of(own.attentions),
        mask=None if own.mask is None else all_rows(own.mask, rows, choices),
        branches={place: all_rows(value, rows) for place, value in own.branches.items()},
    )


def all_rows(own: Tensor, rows: int, unit: int = 1) -> Tensor:
    """Gather all processes' shares of `rows` rows, `unit` entries each: (own * unit, ...) -> (rows * unit, ...)."""
    gathered = _AllRows.apply(own, rows, unit)
    assert isinstance(gathered, Tensor)
    return gathered


def average(tensors: Iterable[Tensor]) -> None:
    """Replace tensors by their mean over processes, in place; shapes and order must be equal in all processes."""
    if count() == 1:
        return
    for bucket in _buckets(tensors):
        flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
        dist.all_reduce(flat)
        flat /= count()
        for tensor, part in zip(bucket, flat.split([tensor.numel() for tensor in bucket]), strict=True):
            tensor.copy_(part.view_as(tensor))


def average_gradients(parameters: Iterable[Tensor]) -> None:
    """Average `.grad` over processes; parameters without a gradient have none anywhere.

    Parts of a split parameter are left as they are: what was sent when they were split is the mean already.
    """
    average([value.grad for value in parameters if value.grad is not None and not is_part(value)])


def is_part(value: Tensor) -> bool:
    """Return whether this process holds only a shard of a tensor (training.fsdp)."""
    return isinstance(value, DTensor)


class _Place(torch.autograd.function.FunctionCtx):
    """Memory of `_AllRows` from one call."""

    rows: int
    unit: int
    shape: torch.Size


class _AllRows(torch.autograd.Function):
    """See `all_rows`; linear, so its forward derivative gathers the tangents."""

    @staticmethod
    def forward(ctx: _Place, own: Tensor, rows: int, unit: int) -> Tensor:
        ctx.rows, ctx.unit, ctx.shape = rows, unit, own.shape
        return _gather(own, rows, unit)

    @staticmethod
    def backward(ctx: _Place, *grads: Tensor) -> tuple[Tensor, None, None]:
        mine = _entries(ctx.rows, ctx.unit, number())
        part = grads[0].new_zeros(ctx.shape)
        part[: mine.stop - mine.start] = grads[0][mine] * count()
        return part, None, None

    @staticmethod
    def jvp(ctx: _Place, *along: Tensor) -> Tensor:
        return _gather(along[0], ctx.rows, ctx.unit)


def _gather(own: Tensor, rows: int, unit: int) -> Tensor:
    """Gather as bytes, which works for every dtype without changing values."""
    sizes = [part.stop - part.start for part in (_entries(rows, unit, i) for i in range(count()))]
    padded = own.new_zeros((max(sizes), *own.shape[1:]))
    padded[: sizes[number()]] = own[: sizes[number()]]
    received = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather([part.view(torch.uint8) for part in received], padded.view(torch.uint8))
    return torch.cat([part[:size] for part, size in zip(received, sizes, strict=True)])


def _entries(rows: int, unit: int, process: int) -> slice:
    mine = share(rows, process, count())
    return slice(mine.start * unit, mine.stop * unit)


def _buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Group consecutive tensors of one dtype and device into messages."""
    bucket: list[Tensor] = []
    size = 0
    for tensor in tensors:
        alike = bucket and tensor.dtype == bucket[0].dtype and tensor.device == bucket[0].device
        if bucket and (not alike or size + tensor.numel() > BUCKET):
            yield bucket
            bucket, size = [], 0
        bucket.append(tensor)
        size += tensor.numel()
    if bucket:
        yield bucket
