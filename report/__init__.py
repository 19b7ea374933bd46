"""The pages that scripts write: evaluations, localized photos, training curves. Each is one HTML file."""
