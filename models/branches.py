"""A teacher with student branches: copies of the student's later layers on top of the teacher's middle layers.

Branch i (1 to student layers - 1) reads all tokens of the teacher's matching layer, fits them to the student's width by a
linear map, and goes on with the student's layers i + 1 to the last, its pooling and its head. The fitted vectors enter by
way of the student's embedding block, in place of the words' vectors: positions and normalisation are the student's own.
"""

from typing import cast

from torch import Tensor, nn

from models.classifier import Classifier
from models.heads import new_linear
from models.layer_choice import check_branch_depths
from models.layers import keep_layers
from models.model_outputs import Outputs


class Branched(nn.Module):
    """The teacher, called like a `Classifier`; in training its outputs include those of every branch."""

    def __init__(self, teacher: Classifier, student: Classifier, seed: int) -> None:
        super().__init__()
        depth = student.num_layers
        check_branch_depths(depth, teacher.num_layers)
        self.teacher = teacher
        places = {i * teacher.num_layers // depth: i for i in range(1, depth)}
        self.branches = nn.ModuleDict(
            {str(place): Branch(student, own, teacher.hidden_size, seed) for place, own in places.items()}
        )
        self.train(teacher.training)

    @property
    def places(self) -> tuple[int, ...]:
        """The teacher's layers with a branch."""
        return tuple(int(place) for place in self.branches)

    def forward(
        self, inputs: dict[str, Tensor], *, dataset: str, choices: int = 1, layers: tuple[int, ...] = ()
    ) -> Outputs:
        places = self.places if self.training else ()
        said = self.teacher(inputs, dataset=dataset, choices=choices, layers=layers, tokens=places)
        for place in places:
            branch = cast(Branch, self.branches[str(place)])
            said.branches[place] = branch(inputs, said.tokens[place], dataset=dataset, choices=choices)
        return said


class Branch(nn.Module):
    """The rest of a student after its layer `own`, preceded by a map to its width."""

    def __init__(self, student: Classifier, own: int, width: int, seed: int) -> None:
        super().__init__()
        self.fit = new_linear(width, student.hidden_size, std=width**-0.5, bias=True, seed=seed, name=f"branch {own}")
        later = range(own + 1, student.num_layers + 1)
        self.rest = Classifier(keep_layers(student.export(), later), student.spec)
        # Never read, and processes that share gradients would wait for its one.
        self.rest.backbone.get_input_embeddings().requires_grad_(False)

    def forward(self, inputs: dict[str, Tensor], tokens: Tensor, *, dataset: str, choices: int) -> Tensor:
        """All tokens of a teacher's layer (B*K, L, H_T) -> logits (B, C)."""
        return self.rest(inputs, dataset=dataset, choices=choices, embedded=self.fit(tokens)).logits
