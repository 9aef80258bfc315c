"""What may be published, and when it is in force.

Nothing that was in force is changed; what is not in force yet may be withdrawn.
"""
