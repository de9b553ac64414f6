"""The report stage's parts: what the stages left, the numbers made from it, pictures, the page, files for DVC plots."""
