"""The drawing toolkit: frame, palette, tables, figures and files of a page. It knows no job and decides nothing."""
