"""A training step as a CUDA graph: recorded once, then replayed over the same memory.

On the processor, and where nobody asks for it, a captured step is the plain call.
"""

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

WARM_UP = 3  # plain steps of each kind before it is recorded: they train as any other
KEPT = 4  # kinds of steps that are kept: two that take turns, each with and without a penalty


class Captured:
    """`function(*arguments)` of tensors, numbers and nests of them, returning tensors.

    Tensors are copied into buffers that every replay reads; numbers and shapes say which kind of
    step it is, and each kind is recorded anew. What changes from step to step must be a tensor.
    What is returned is overwritten by the next call.
    """

    def __init__(self, function, active):
        self.function, self.active, self.kinds = function, active, {}

    def __call__(self, *arguments):
        if not self.active:
            return self.function(*arguments)
        leaves, tree = tree_flatten(arguments)
        kind = (str(tree), *map(described, leaves))
        if kind not in self.kinds:
            if len(self.kinds) == KEPT:
                del self.kinds[next(iter(self.kinds))]  # its memory, before more is taken
            self.kinds[kind] = Recording(self.function, leaves, tree)
        return self.kinds[kind](leaves)


def described(leaf):
    return (leaf.shape, leaf.dtype) if isinstance(leaf, torch.Tensor) else leaf


class Recording:
    """One kind of step: its buffers, and after WARM_UP calls its graph."""

    def __init__(self, function, leaves, tree):
        still = [x.clone() if isinstance(x, torch.Tensor) else x for x in leaves]
        self.call = lambda: function(*tree_unflatten(still, tree))
        self.buffers = [x for x in still if isinstance(x, torch.Tensor)]
        self.calls, self.replay, self.results = 0, None, None

    def __call__(self, leaves):
        given = [x for x in leaves if isinstance(x, torch.Tensor)]
        torch._foreach_copy_(self.buffers, given)
        self.calls += 1
        if self.calls <= WARM_UP:
            return aside(self.call)
        if self.replay is None:
            self.replay, self.results = record(self.call)
        self.replay()
        return self.results


def aside(call):
    """Call on a stream of its own, as recording asks of the steps before it."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        results = call()
    torch.cuda.current_stream().wait_stream(stream)
    return results


def record(call):
    """(what replays the call, what it returned); recording alone computes nothing."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = call()
    return graph.replay, results
