"""What can be chosen of a second look. Nothing here imports torch."""

MATCHERS = ("sift", "xfeat", "xfeat-lightglue", "aliked-lightglue", "disk-lightglue")
GEOMETRIES = ("homography", "fundamental")
IMAGE_SIZE = 512  # pixels of the shorter side
KEYPOINTS = 2048  # of an image, at most
NEIGHBOURS = 20  # predictions that tell how far a query's first one is ahead


def needed_weights(matcher: str) -> int:
    """How many files of weights a matcher of MATCHERS has."""
    return 2 if matcher.endswith("-lightglue") else int(matcher != "sift")
