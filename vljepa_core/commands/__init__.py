"""The command line, a module for each command of ``python -m vljepa_core``; they start before PyTorch is loaded."""
