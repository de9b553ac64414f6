"""What is measured, against which floor, and the pages made from it."""
