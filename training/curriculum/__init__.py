"""MPDistil's curriculum (section 3, "Student curriculum learning"): its episodes and all they are made of."""
