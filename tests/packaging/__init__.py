"""What is built is what is in the repository, and works far away from it."""
