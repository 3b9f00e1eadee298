//! The template catalogue: (account, name, language) to category.
