"""The audited data with corrected labels."""

import io

import torch
from pyarrow import table
from pyarrow.csv import WriteOptions, write_csv

from softtargets.audit.review.folder import AuditFolder
from softtargets.audit.rows import column, texts


def corrected_csv(audit: AuditFolder, labels: dict[int, int]) -> bytes:
    """Return all rows with their labels, of which some are corrected, in the form of `cleaned.csv`.

    Args:
        audit: the folder of the audit.
        labels: the right class by row.
    """
    corrected = audit.given.clone()
    corrected[torch.tensor(list(labels))] = torch.tensor(list(labels.values()))
    rows = torch.arange(audit.num_rows)
    shown = {} if audit.examples is None else audit.examples.columns(rows)
    names = tuple(audit.class_names[label] for label in corrected.tolist())
    # a column of the table that is called "row" is kept
    columns = {"row": rows, **shown, "label": texts(names)}
    stream = io.BytesIO()
    whole = table({name: column(one) for name, one in columns.items()})
    write_csv(whole, stream, WriteOptions(quoting_style="needed"))
    return stream.getvalue()
