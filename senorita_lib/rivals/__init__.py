"""Other methods' heads on the same backbone, values of a recipe's ``head``: A2J and AWR.

Poses, votes and maps are in the uvd frame.
"""
