"""The toolkit for pages: HTML frame, colours, tables, figures, files. It is independent of the jobs."""
