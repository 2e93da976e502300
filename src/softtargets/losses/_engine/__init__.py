"""The machinery under the losses: kernels, their run over chunks of rows, and the log-odds of the label."""
