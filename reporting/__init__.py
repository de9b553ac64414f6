"""The report's parts: what the stages left, numbers, comparison and analysis made from it, pictures, the page, plots."""
