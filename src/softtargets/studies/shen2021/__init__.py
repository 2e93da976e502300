"""Code of the study of Shen et al. 2021."""
