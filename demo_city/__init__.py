"""Demo cities: procedural worlds rendered as data sets in SF-XL's layout."""
