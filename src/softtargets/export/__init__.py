"""Export of trained classifiers: programs, files that need no run store, and model cards."""

from softtargets.export.job import Exported, ExportOptions, export_run
from softtargets.export.packing import load_packed, save_packed
from softtargets.export.programs import save_onnx, save_program

__all__ = ["ExportOptions", "Exported", "export_run", "load_packed", "save_onnx", "save_packed", "save_program"]
