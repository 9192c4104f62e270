"""What is done with graphs: ``shape_prop`` notes shapes."""
