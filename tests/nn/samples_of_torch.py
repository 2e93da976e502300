"""Write the samples that torch tests its own cross entropy with into a file; run in a process of its own.

Importing torch.testing._internal freezes the flags of torch.backends, which training sets.
"""

import random
import sys
from typing import Any

import torch

# arguments of the constructor, then what it is called with
Sample = tuple[dict[str, Any], *tuple[torch.Tensor, ...]]


def samples() -> dict[str, list[Sample]]:
    from torch.testing._internal.common_methods_invocations import op_db
    from torch.testing._internal.common_modules import module_db

    torch.manual_seed(0)
    random.seed(0)
    made: dict[str, list[Sample]] = {"function": [], "module": [], "error": []}
    (op,) = (op for op in op_db if op.name == "nn.functional.cross_entropy")
    for dtype in sorted(op.supported_dtypes("cpu"), key=str):
        for sample in op.sample_inputs("cpu", dtype, requires_grad=True):
            made["function"].append((sample.kwargs, sample.input, *sample.args))
    (module,) = (module for module in module_db if module.module_cls is torch.nn.CrossEntropyLoss)
    for dtype in module.dtypes:
        for sample in module.module_inputs_func(module, "cpu", dtype, requires_grad=True, training=True):
            made["module"].append((sample.constructor_input.kwargs, *sample.forward_input.args))
    assert module.module_error_inputs_func is not None
    for error in module.module_error_inputs_func(module, "cpu", torch.float32, requires_grad=True, training=True):
        sample = error.module_error_input
        made["error"].append((sample.constructor_input.kwargs, *sample.forward_input.args))
    return made


if __name__ == "__main__":
    torch.save(samples(), sys.argv[1])
