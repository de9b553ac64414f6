"""Measurements of cost against floors, and the pages made from them."""
