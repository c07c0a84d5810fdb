"""The configs that the package ships."""
