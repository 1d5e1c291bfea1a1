"""The depth file formats, one writer and one reader each; `depth_files` chooses among them."""
