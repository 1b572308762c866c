"""What writes the documentation: the results of the README, the scaling plan, the screenshots."""
