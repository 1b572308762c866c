"""What writes the documentation: generated parts of its pages, the scaling plan, the screenshots."""
